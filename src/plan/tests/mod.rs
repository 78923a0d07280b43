//! Properties of planning: whatever happened before, doing what is planned until nothing is planned
//! leaves the calendar as the appointment, the switches and nothing else want it.

mod world;

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::{Plan, WhyNot};
use crate::domain::{Appointment, AppointmentStatus, CoachId, Flags, Parts, Settings};
use world::{FRIEND, Fate, SECRET, World, client};

/// More cases than usual, for the worst histories are rare. PROPTEST_CASES asks for more still.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases.max(600),
        failure_persistence: None,
        ..usual
    }
}

/// Something that happens to an appointment, its connection or its event.
#[derive(Clone, Debug)]
enum Step {
    Report(Report),
    Settings(Settings),
    Calendar(&'static str),
    SyncNow,
    CoachDeletes,
    CoachInvites,
    HoursPass(i64),
    Attempt(Fate),
}

/// What of an appointment is varied.
#[derive(Clone, Debug)]
struct Report {
    status: AppointmentStatus,
    starts_in_hours: i64,
    client: &'static str,
    notes: bool,
    other_coach: bool,
    erased: bool,
}

impl Report {
    fn apply(&self, appointment: &mut Appointment) {
        let start = World::new().now + TimeDelta::hours(self.starts_in_hours);
        appointment.status = self.status;
        appointment.starts_at = start;
        appointment.ends_at = start + TimeDelta::hours(1);
        appointment.client = client(self.client);
        appointment.notes = self.notes.then(|| format!("notes of {SECRET}"));
        appointment.coach_id = CoachId(Uuid::from_u128(if self.other_coach { 9 } else { 1 }));
        appointment.erased = self.erased;
    }
}

impl Report {
    /// Whose event depends on nothing that was reported before.
    fn open(self) -> Self {
        let status = match self.status {
            AppointmentStatus::Completed | AppointmentStatus::NoShow => {
                AppointmentStatus::Confirmed
            }
            AppointmentStatus::Pending
            | AppointmentStatus::Confirmed
            | AppointmentStatus::Cancelled => self.status,
        };
        Self { status, ..self }
    }

    /// For which no event may be made.
    fn unwanted(self) -> Self {
        Self {
            erased: self.erased || self.status == AppointmentStatus::Confirmed,
            ..self
        }
    }
}

fn reports() -> impl Strategy<Value = Report> {
    let statuses = prop_oneof![
        4 => Just(AppointmentStatus::Confirmed),
        1 => Just(AppointmentStatus::Pending),
        1 => Just(AppointmentStatus::Completed),
        2 => Just(AppointmentStatus::Cancelled),
        1 => Just(AppointmentStatus::NoShow),
    ];
    (
        statuses,
        prop::sample::select(vec![-3_i64, 1, 5]),
        prop::sample::select(vec!["a", "b"]),
        any::<bool>(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.05),
    )
        .prop_map(
            |(status, starts_in_hours, client, notes, other_coach, erased)| Report {
                status,
                starts_in_hours,
                client,
                notes,
                other_coach,
                erased,
            },
        )
}

fn settings() -> impl Strategy<Value = Settings> {
    let title = prop::sample::select(vec!["Session", "{client_name} {starts_at}"]);
    let on = prop::bool::weighted(0.8);
    (on, on, on, any::<bool>(), any::<bool>(), title).prop_map(
        |(sync, create, update, details, attendee, title)| Settings {
            is_sync_enabled: sync,
            auto_create_events: create,
            auto_update_events: update,
            include_client_details: details,
            add_client_as_attendee: attendee,
            event_title_template: title.into(),
            ..Settings::default()
        },
    )
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Answered),
        2 => Just(Fate::AnswerLost),
        1 => Just(Fate::NotSent),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => reports().prop_map(Step::Report),
        3 => settings().prop_map(Step::Settings),
        1 => prop::sample::select(vec!["home", "work"]).prop_map(Step::Calendar),
        1 => Just(Step::SyncNow),
        1 => Just(Step::CoachDeletes),
        1 => Just(Step::CoachInvites),
        1 => (1..4_i64).prop_map(Step::HoursPass),
        8 => fates().prop_map(Step::Attempt),
    ]
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(steps(), 0..16)
}

impl World {
    fn lived(history: &[Step]) -> Self {
        let mut world = Self::new();
        for step in history {
            world.live(step);
        }
        world
    }

    fn live(&mut self, step: &Step) {
        match step {
            Step::Report(report) => report.apply(&mut self.appointment),
            Step::Settings(settings) => self.connection.settings = settings.clone(),
            Step::Calendar(id) => self.connection.calendar.id = (*id).into(),
            Step::SyncNow => self.flags = self.flags.with(Flags::MANUAL),
            Step::CoachDeletes => self.coach_deletes(),
            Step::CoachInvites => self.coach_invites(),
            Step::HoursPass(hours) => self.now += TimeDelta::hours(*hours),
            Step::Attempt(fate) => {
                self.attempt(*fate);
            }
        }
    }

    fn switch_everything_on(&mut self) {
        let settings = &mut self.connection.settings;
        settings.is_sync_enabled = true;
        settings.auto_create_events = true;
        settings.auto_update_events = true;
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn after_a_perfect_execution_nothing_is_planned(history in histories(), verify in any::<bool>()) {
        let mut world = World::lived(&history);
        if verify {
            world.live(&Step::SyncNow);
        }
        prop_assert!(world.work().is_some(), "no end: {:?}", world.plan());
        prop_assert!(matches!(world.plan(), Plan::Nothing(_)));
    }

    #[test]
    fn a_sync_puts_right_what_the_coach_wrote_also_beside_and_after_a_change(
        hours in 1..9_i64, carried in any::<bool>(),
    ) {
        let mut world = World::new();
        prop_assert!(world.work().is_some());
        world.coach_retitles();
        world.appointment.starts_at += TimeDelta::hours(hours);
        world.appointment.ends_at += TimeDelta::hours(hours);
        if carried {
            prop_assert!(world.work().is_some());
        }
        world.live(&Step::SyncNow);
        prop_assert!(world.work().is_some());
        let wanted = world.desired();
        prop_assert_eq!(world.events(), [&wanted]);
    }

    #[test]
    fn there_is_never_more_than_one_event(history in histories()) {
        let mut world = World::new();
        for step in &history {
            world.live(step);
            prop_assert!(world.events().len() <= 1, "{:?}", world.events());
        }
    }

    #[test]
    fn with_all_switches_on_the_calendar_shows_the_last_appointment(
        history in histories(), look in any::<bool>(),
    ) {
        let mut world = World::lived(&history);
        world.switch_everything_on();
        // What the coach did is found when something is looked at, not by itself.
        let by_hand = history.iter().any(|step| matches!(step, Step::CoachDeletes));
        if look || by_hand {
            world.live(&Step::SyncNow);
        }
        world.work();
        let appointment = &world.appointment;
        let no_event = appointment.erased || appointment.coach_id != world.connection.coach_id;
        match appointment.status {
            AppointmentStatus::Confirmed if !no_event => {
                let mut shown: Vec<_> = world.events().into_iter().cloned().collect();
                for event in &mut shown {
                    event.guests.remove(FRIEND);
                    if event.ends_at <= world.now {
                        // What is over stays where it was.
                        event.calendar = world.connection.calendar.id.clone();
                    }
                }
                prop_assert_eq!(shown, vec![world.desired()]);
            }
            AppointmentStatus::Completed | AppointmentStatus::NoShow if !no_event => {}
            AppointmentStatus::Confirmed
            | AppointmentStatus::Pending
            | AppointmentStatus::Completed
            | AppointmentStatus::Cancelled
            | AppointmentStatus::NoShow => prop_assert!(world.events().is_empty()),
        }
    }

    #[test]
    fn neither_order_nor_repetition_of_deliveries_matters(
        reports in prop::collection::vec(reports(), 0..5),
        last in reports().prop_map(Report::open),
        attempts in prop::collection::vec(prop::option::of(fates()), 0..12),
    ) {
        let mut delivered = World::new();
        let mut attempts = attempts.iter();
        for report in reports.iter().chain([&last, &last]) {
            delivered.live(&Step::Report(report.clone()));
            if let Some(Some(fate)) = attempts.next() {
                delivered.attempt(*fate);
            }
        }
        delivered.work();
        let mut told_once = World::new();
        told_once.live(&Step::Report(last));
        told_once.work();
        prop_assert_eq!(delivered.events(), told_once.events());
    }

    #[test]
    fn a_cancelled_pending_or_erased_appointment_never_ends_in_a_create(
        history in histories(), last in reports().prop_map(Report::unwanted), all in any::<bool>(),
    ) {
        let mut world = World::lived(&history);
        if all {
            world.live(&Step::SyncNow);
        }
        world.live(&Step::Report(last));
        let before = world.creates;
        world.work();
        prop_assert_eq!(world.creates, before);
        if world.appointment.erased {
            prop_assert!(world.events().is_empty());
        }
    }

    #[test]
    fn no_event_shows_details_once_they_are_switched_off(
        history in histories(), mut settings in settings(),
    ) {
        settings.include_client_details = false;
        let mut world = World::lived(&history);
        world.live(&Step::Settings(settings));
        world.work();
        prop_assert!(!world.shows_details(), "{:?}", world.events());
        prop_assert!(world.mapping.is_none_or(|mapping| !mapping.shares_details));
    }

    #[test]
    fn an_event_that_shows_details_is_known_to_at_any_moment(history in histories()) {
        let mut world = World::new();
        for step in &history {
            world.live(step);
            let known = world.mapping.as_ref().is_some_and(|mapping| mapping.shares_details);
            prop_assert!(known || !world.shows_details(), "after {step:?}");
        }
    }

    #[test]
    fn without_automatic_creation_only_sync_now_makes_the_first_event(history in histories()) {
        let mut world = World::new();
        world.connection.settings.auto_create_events = false;
        for step in &history {
            match step {
                Step::SyncNow | Step::Settings(_) => {}
                Step::Report(_)
                | Step::Calendar(_)
                | Step::CoachDeletes
                | Step::CoachInvites
                | Step::HoursPass(_)
                | Step::Attempt(_) => world.live(step),
            }
        }
        world.work();
        prop_assert_eq!(world.creates, 0);
        world.live(&Step::SyncNow);
        world.work();
        let confirmed = world.appointment.status == AppointmentStatus::Confirmed
            && world.appointment.coach_id == world.connection.coach_id
            && !world.appointment.erased;
        prop_assert_eq!(world.creates, u32::from(confirmed));
    }

    #[test]
    fn with_sync_on_a_create_in_doubt_is_always_settled(history in histories()) {
        let mut world = World::lived(&history);
        world.connection.settings.is_sync_enabled = true;
        world.work();
        prop_assert!(!world.is_creating());
    }

    #[test]
    fn with_sync_off_only_erasing_and_scrubbing_touch_the_calendar(
        history in histories(), mut settings in settings(), flags in any::<(bool, bool)>(),
    ) {
        settings.is_sync_enabled = false;
        let mut world = World::lived(&history);
        world.live(&Step::Settings(settings));
        world.flags = Flags { forced: flags.0, verify: flags.1 };
        let creates = world.creates;
        let events = world.events().len();
        let shared = world.mapping.as_ref().is_some_and(|mapping| mapping.shares_details);
        let scrubs = shared && !world.connection.settings.include_client_details;
        let in_doubt = world.is_creating();
        match world.plan() {
            Plan::Nothing(why) => prop_assert!(
                world.appointment.erased || why == WhyNot::SyncDisabled
            ),
            Plan::Delete => prop_assert!(world.appointment.erased || (scrubs && in_doubt)),
            Plan::Update(_, parts) => prop_assert!(scrubs && parts != Parts::ALL),
            Plan::Verify(_) => prop_assert!(scrubs && in_doubt),
            plan @ (Plan::Create(_) | Plan::FinishCreate(_) | Plan::MoveAway) => {
                prop_assert!(false, "{plan:?}");
            }
        }
        world.work();
        prop_assert_eq!(world.creates, creates);
        if !world.appointment.erased && !in_doubt {
            prop_assert_eq!(world.events().len(), events);
        }
    }
}

/// The job's first half is done, and then the job is dropped, as switching sync off does.
fn dropped_half_done(world: &mut World) {
    world.connection.settings.is_sync_enabled = false;
    assert_eq!(world.work(), Some(Vec::new()), "{:?}", world.mapping);
    world.connection.settings.is_sync_enabled = true;
    world.flags = Flags::CATCH_UP;
}

#[test]
fn a_guest_list_in_doubt_is_read_before_it_is_written() {
    let mut world = World::new();
    world.connection.settings.include_client_details = true;
    assert!(world.work().is_some());
    for shared in [false, true] {
        world.connection.settings.include_client_details = shared;
        let is_known = |world: &World| {
            let mapping = world.mapping.as_ref();
            mapping.is_some_and(|mapping| mapping.etag.is_some())
        };
        assert!(is_known(&world));
        world.attempt(Fate::NotSent);
        // The client is wanted as before, and is on the list as before; but who knows that?
        assert_eq!(is_known(&world), !shared);
    }
}

#[test]
fn an_event_taken_out_of_one_calendar_arrives_in_the_other_though_its_job_is_dropped() {
    let mut world = World::new();
    assert!(world.work().is_some());
    world.connection.settings.auto_create_events = false;
    world.connection.calendar.id = "work".into();
    assert_eq!(world.attempt(Fate::Answered), Plan::MoveAway);
    assert!(world.events().is_empty());
    dropped_half_done(&mut world);
    assert!(world.work().is_some());
    assert_eq!(world.events(), [&world.desired()]);
    assert_eq!(world.creates, 2, "one in each calendar");
}

#[test]
fn an_event_that_was_found_gone_comes_back_though_its_job_is_dropped() {
    let mut world = World::new();
    assert!(world.work().is_some());
    world.connection.settings.auto_create_events = false;
    world.coach_deletes();
    world.appointment.ends_at += TimeDelta::hours(1);
    assert!(matches!(world.attempt(Fate::Answered), Plan::Update(..)));
    dropped_half_done(&mut world);
    assert!(world.work().is_some());
    assert_eq!(world.events(), [&world.desired()]);
    // Nothing is owed any more once nothing is wanted.
    world.coach_deletes();
    world.live(&Step::SyncNow);
    world.attempt(Fate::Answered);
    world.appointment.status = AppointmentStatus::Cancelled;
    assert!(world.work().is_some());
    assert!(world.events().is_empty() && !world.is_creating());
    assert_eq!(world.creates, 2);
}
