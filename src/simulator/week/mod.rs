//! The calendars as their coaches see them: a list of accounts, and a week that updates itself.
//!
//! `/` lists accounts. `/week?account=…&date=…` shows the calendars of one address at both
//! providers, or of everybody; its script polls `/week.json` with the same query.

mod lanes;

use std::sync::Arc;

use chrono::{Datelike, Days, NaiveDate, Timelike};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::json;

use crate::domain::{ProviderKind, Timestamp};

use super::account::{Account, AccountKey, CalendarState};
use super::message::{Call, Reply, local_to_utc};
use super::page::{document, escape};
use super::trouble;
use super::view;
use super::world::{Shared, World};

pub(super) fn answer(shared: &Arc<Shared>, call: &Call) -> Reply {
    let world = shared.world();
    match (call.method.as_str(), call.path.as_str()) {
        ("GET", "/") => Reply::html(200, index(&world)),
        ("GET", "/week") => Reply::html(200, page(&world, call)),
        ("GET", "/week.json") => Reply::json(200, &json!(sheets(&world, call))),
        _ => Reply::empty(404),
    }
}

fn index(world: &World) -> String {
    let mut emails: Vec<&str> = world
        .accounts
        .iter()
        .map(|(key, _)| key.email.as_str())
        .collect();
    emails.sort_unstable();
    emails.dedup();
    let lines: String = emails
        .into_iter()
        .map(|email| {
            format!(
                "<li><a href=\"/week?account={}\">{}</a></li>",
                encode(email),
                escape(email)
            )
        })
        .collect();
    let list = if lines.is_empty() {
        "<p>Nobody has signed in yet.</p>".to_owned()
    } else {
        format!("<ul>{lines}</ul><p><a href=\"/week\">Everybody side by side</a></p>")
    };
    document(
        "Simulated calendars",
        &format!("<main class=\"card\"><h1>Simulated calendars</h1>{list}</main>"),
    )
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// One calendar's week.
#[derive(Debug, Serialize)]
struct Sheet {
    /// Names the element on the page.
    key: String,
    title: String,
    provider: ProviderKind,
    days: Vec<String>,
    blocks: Vec<Block>,
}

/// One event on one day, in minutes since midnight of that day.
#[derive(Debug, Serialize)]
struct Block {
    key: String,
    day: usize,
    from: u32,
    to: u32,
    /// Which of how many columns, where events overlap.
    lane: u32,
    lanes: u32,
    hours: String,
    title: String,
    place: String,
    guests: String,
    /// Not one of ours.
    foreign: bool,
}

const MINUTES_A_DAY: u32 = 24 * 60;
/// Shorter events are drawn this long, so that their title can be read.
const SHORTEST_BLOCK: u32 = 30;
/// A page of more calendars helps nobody.
const MOST_SHEETS: usize = 40;

fn sheets(world: &World, call: &Call) -> Vec<Sheet> {
    let wanted = call.param("account").map(str::to_lowercase);
    world
        .accounts
        .iter()
        .filter(|(key, _)| wanted.as_ref().is_none_or(|email| *email == key.email))
        .flat_map(|(key, account)| {
            account
                .calendars
                .iter()
                .filter(|calendar| calendar.is_writable())
                .filter(|calendar| calendar.primary || !calendar.events.is_empty())
                .map(move |calendar| sheet(world, call, (key, account), calendar))
        })
        .take(MOST_SHEETS)
        .collect()
}

fn sheet(
    world: &World,
    call: &Call,
    (key, account): (&AccountKey, &Account),
    calendar: &CalendarState,
) -> Sheet {
    let zone = calendar.time_zone;
    let monday = monday(call, zone);
    let end = monday + Days::new(7);
    let midnight = |date: NaiveDate| local_to_utc(date.and_time(chrono::NaiveTime::MIN), zone);
    let mut shown: Vec<Block> = view::live_events(world, key, Some(&calendar.id))
        .into_iter()
        .filter(|event| midnight(end).is_some_and(|end| event.starts_at < end))
        .filter(|event| midnight(monday).is_some_and(|start| event.ends_at > start))
        .flat_map(|event| blocks(&event, monday, zone))
        .collect();
    lanes::assign(&mut shown);
    let name = if calendar.primary {
        String::new()
    } else {
        format!(" · {}", calendar.name)
    };
    Sheet {
        key: format!("{}-{}", key.provider, calendar.id),
        title: format!(
            "{} · {}{name} · {}",
            key.provider.display_name(),
            account.email,
            zone.name()
        ),
        provider: key.provider,
        days: (0..7)
            .map(|day| (monday + Days::new(day)).format("%a %-d %b").to_string())
            .collect(),
        blocks: shown,
    }
}

/// The Monday of the week asked for, or of the present one.
fn monday(call: &Call, zone: Tz) -> NaiveDate {
    let asked = call.param("date").and_then(|date| date.parse().ok());
    let date: NaiveDate = asked.unwrap_or_else(|| call.at.now.with_timezone(&zone).date_naive());
    date - Days::new(u64::from(date.weekday().num_days_from_monday()))
}

/// The pieces of an event on the days it touches.
fn blocks(event: &view::LiveEvent, monday: NaiveDate, zone: Tz) -> Vec<Block> {
    let local = |at: Timestamp| at.with_timezone(&zone).naive_local();
    let (start, end) = (local(event.starts_at), local(event.ends_at));
    let minutes = |at: chrono::NaiveDateTime| at.hour() * 60 + at.minute();
    (0..7_u64)
        .map(|day| (day, monday + Days::new(day)))
        .filter(|(_, date)| start.date() <= *date && end >= date.and_time(chrono::NaiveTime::MIN))
        .filter(|(_, date)| end > date.and_time(chrono::NaiveTime::MIN) || start.date() == *date)
        .map(|(day, date)| {
            let from = if start.date() == date {
                minutes(start)
            } else {
                0
            };
            let to = if end.date() == date {
                minutes(end)
            } else {
                MINUTES_A_DAY
            };
            Block {
                key: format!("{}-{day}", event.event_id),
                day: usize::try_from(day).unwrap_or(0),
                from,
                to: to.max(from + SHORTEST_BLOCK).min(MINUTES_A_DAY),
                lane: 0,
                lanes: 1,
                hours: format!("{}–{}", start.format("%H:%M"), end.format("%H:%M")),
                title: event.title.clone(),
                place: event.location.clone(),
                guests: event.attendees.join(", "),
                foreign: event.appointment_id.is_none(),
            }
        })
        .collect()
}

fn page(world: &World, call: &Call) -> String {
    let account = call.param("account");
    let zone = world.config.time_zone;
    let monday = monday(call, zone);
    let link = |date: NaiveDate, text: &str| {
        let account = account
            .map(|a| format!("account={}&amp;", encode(a)))
            .unwrap_or_default();
        format!("<a href=\"/week?{account}date={date}\">{text}</a>")
    };
    let title = account.unwrap_or("Everybody");
    let sheets: String = sheets(world, call).iter().map(draw).collect();
    document(
        &format!("Week of {title}"),
        &format!(
            "<main><div class=\"bar\"><h1>{title}</h1><span class=\"grow\"></span>{before}{now}{after}\
             <a href=\"/\">All accounts</a></div>{trouble}{sheets}</main>\n<script>\n{script}</script>",
            title = escape(title),
            before = link(monday - Days::new(7), "Earlier"),
            now = link(call.at.now.with_timezone(&zone).date_naive(), "This week"),
            after = link(monday + Days::new(7), "Later"),
            trouble = trouble::panel(world.faults.status().len()),
            script = include_str!("week.js"),
        ),
    )
}

fn draw(sheet: &Sheet) -> String {
    let heads: String = sheet
        .days
        .iter()
        .map(|day| format!("<div class=\"head\">{}</div>", escape(day)))
        .collect();
    let hours: String = (1..24)
        .map(|hour| format!("<span style=\"top:{:.3}%\">{hour}</span>", share(hour * 60)))
        .collect();
    let days: String = (0..7)
        .map(|day| {
            let blocks = sheet.blocks.iter().filter(|block| block.day == day);
            let blocks: String = blocks
                .map(|block| draw_block(block, sheet.provider))
                .collect();
            format!("<div class=\"day\">{blocks}</div>")
        })
        .collect();
    format!(
        "<section data-key=\"{}\"><h2 class=\"soft\">{}</h2><div class=\"week\">\
         <div class=\"head\"></div>{heads}<div class=\"hours\">{hours}</div>{days}</div></section>",
        escape(&sheet.key),
        escape(&sheet.title),
    )
}

fn share(minutes: u32) -> f64 {
    f64::from(minutes) * 100.0 / f64::from(MINUTES_A_DAY)
}

fn draw_block(block: &Block, provider: ProviderKind) -> String {
    format!(
        "<div class=\"event {provider}{foreign}\" data-key=\"{key}\" \
         style=\"top:{top:.3}%;height:{height:.3}%;left:{left:.2}%;width:{width:.2}%\"><b>{title}</b>{hours}<br>{place}<br>{guests}</div>",
        foreign = if block.foreign { " foreign" } else { "" },
        key = escape(&block.key),
        top = share(block.from),
        height = share(block.to - block.from),
        left = f64::from(block.lane) * 100.0 / f64::from(block.lanes),
        width = 100.0 / f64::from(block.lanes),
        title = escape(&block.title),
        hours = escape(&block.hours),
        place = escape(&block.place),
        guests = escape(&block.guests),
    )
}
