//! Every kind of trouble as a scripted, repeatable story: each ends in exactly the desired calendars.
//!
//! Which test shows which number of the fault table:
//!
//! | fault | test |
//! |---|---|
//! | 1 | `crash::every_point`, `crash::between_nodes`, `crash::random_kills` |
//! | 2 create, update, delete | `answer_lost::a_lost_answer_to_a_create_update_or_delete_leaves_one_event_or_none` |
//! | 2 create, shown late | `answer_lost::an_event_that_is_shown_late_is_waited_for_and_not_made_twice`, `answer_lost::an_event_that_a_search_shows_late_or_never_does_not_stand_beside_another` |
//! | 2 batch | `answer_lost::a_lost_answer_to_a_batch_of_all_kinds_changes_everything_once` |
//! | 2 refresh | `answer_lost::a_lost_answer_to_a_refresh_is_asked_for_again` |
//! | 2, 10 rotated token lost | `answer_lost::a_lost_rotated_token_parks_the_connection_and_signing_in_again_catches_up` |
//! | 2 code exchange | `answer_lost::a_lost_answer_while_signing_in_leaves_nothing_and_the_coach_tries_again` |
//! | 3 | `crash::signals` |
//! | 4 cut off, away, hanging, slow | `on_postgres::connections_that_break_in_mid_work_lose_nothing`, `on_postgres::a_database_that_is_away_is_said_and_waited_for`, `on_postgres::a_database_that_hangs_keeps_nobody_waiting_for_ever`, `on_postgres::a_slow_database_is_only_slow` |
//! | 4 locked, strict | `on_postgres::a_lock_that_another_session_holds_is_waited_for_and_then_the_caller_told`, `on_postgres::transactions_that_cannot_be_serialized_are_tried_again` |
//! | 4 restarted, replaced by a copy | `on_postgres::a_database_that_is_restarted_is_found_again`, `on_postgres::after_a_failover_to_an_older_copy_events_are_adopted_and_not_doubled` |
//! | 4 SQLite busy, locked by another process | `on_sqlite::a_file_that_another_process_writes_is_waited_for_and_then_the_caller_told` |
//! | 4 SQLite replaced by a backup | `on_sqlite::after_an_older_backup_is_restored_events_are_adopted_and_not_doubled` |
//! | 5 no room | `disk_on_sqlite::a_full_disk_refuses_reports_loses_none_and_doubles_no_event` |
//! | 5 only reading | `disk_on_postgres::a_database_that_only_reads_is_said_and_waited_for`, unit test of `store::error` |
//! | 6 every form of `Retry-After` | `limits::every_form_of_a_limit_is_waited_out_and_costs_no_attempt` |
//! | 6 limit of the whole project | `limits::a_limit_of_the_project_holds_for_all_its_accounts` |
//! | 6 token endpoint | `limits::a_limited_token_endpoint_is_waited_for_and_parks_nobody` |
//! | 6 limited for longer than attempts last | `limits::no_number_of_limits_makes_a_job_fail` |
//! | 7 calendar calls | `bad_answers::whatever_comes_instead_of_an_answer_about_events_the_calendar_ends_right` |
//! | 7 batches | `bad_answers::whatever_comes_instead_of_a_batch_answer_the_calendar_ends_right` |
//! | 7 token endpoint | `bad_answers::whatever_comes_instead_of_a_token_nobody_has_to_sign_in_again` |
//! | 7 sign-in | `bad_answers::whatever_comes_while_signing_in_the_coach_is_sent_back_and_can_try_again` |
//! | 7 redirects | `bad_answers::no_redirect_is_followed` |
//! | 7 size, time, compression of one call | unit tests of `provider::http` |
//! | 8 parts missing, extra, twice, reordered | `batches::parts_that_are_missing_extra_twice_or_in_any_order_are_settled_one_by_one` |
//! | 8 mixed statuses | `batches::parts_of_mixed_statuses_each_get_what_theirs_calls_for`, `batches::a_failing_part_costs_the_others_no_attempt` |
//! | 8 whole batch refused | `batches::a_whole_batch_refused_is_sent_again_and_blames_no_part` |
//! | 8 Graph's 424 | `batches::a_chain_that_breaks_again_and_again_is_worked_off_in_waves` |
//! | 9 | `statuses::every_deed_outlives_not_found_conflict_gone_and_changed`, `statuses::conflicts_of_every_name_end_in_one_event`, `statuses::events_that_come_and_go_under_our_hands_end_as_they_should`, `statuses::an_event_that_went_while_its_change_failed_again_and_again_comes_back`, `statuses::a_calendar_out_of_reach_is_waited_for_and_its_events_are_not_made_again` |
//! | 10 expired in flight | `tokens::access_that_ends_in_flight_is_renewed_within_the_same_attempt` |
//! | 10 revoked | `tokens::a_revoked_grant_parks_keeps_the_work_and_signing_in_again_catches_up` |
//! | 10 scope narrowed | `tokens::a_narrowed_grant_parks_and_says_that_calendars_are_missing` |
//! | 10 token endpoint down | `tokens::work_goes_on_while_the_token_endpoint_is_down_and_the_access_is_good`, `tokens::work_goes_on_on_good_access_while_our_own_credentials_are_refused` |
//! | 10 odd `expires_in` | `tokens::an_odd_lifetime_neither_storms_the_token_endpoint_nor_stops_the_work` |
//! | 10 no new refresh token | `tokens::a_refresh_that_names_no_new_token_leaves_the_old_one_in_force` |
//! | 11 clock set forward, back | `clocks::a_clock_that_is_set_back_an_hour_delays_nothing_by_an_hour`, `clocks::a_clock_that_is_set_forward_an_hour_only_means_new_tokens` |
//! | 11 daylight saving | `clocks::nights_with_an_hour_less_or_more_change_no_time_and_no_wait` |
//! | 11 clocks minutes apart | `clocks_on_postgres::nodes_whose_clocks_are_ten_minutes_apart_work_as_one` |
//! | 12 hundred at once | `races::the_same_change_a_hundred_times_at_once_is_one_change` |
//! | 12 delete overtakes create | `races::a_cancellation_that_overtakes_leaves_no_event`, `races::an_erasure_that_meets_a_create_on_its_way_leaves_no_event` |
//! | 12 thousand edits | `races::a_thousand_edits_of_one_appointment_end_in_its_last_state_with_few_calls` |
//! | 13 paused beyond its lease | `nodes_on_postgres::what_a_paused_node_writes_after_its_lease_is_refused` |
//! | 13 paused in a transaction | `nodes_on_postgres::a_node_paused_while_all_others_wait_for_it_keeps_none_from_starting` |
//! | 13 cut from the database, from a provider | `nodes_on_postgres::a_node_without_its_database_stops_acting_and_another_takes_over`, `nodes_on_postgres::a_node_without_its_provider_holds_up_no_other_and_catches_up` |
//! | 13 two nodes wanting one connection, takeover | `two_nodes` |
//! | 14 poison appointment | `poison::an_appointment_that_is_always_refused_fails_alone_and_says_why`, `poison::an_appointment_that_is_always_in_trouble_delays_and_repeats_no_other` |
//! | 14 poison connection | unit tests of `connections`: `a_worker_that_panics_each_time_is_set_aside_and_comes_back_by_itself` |
//! | 15 | `isolation`; the ratios are measured by `cargo bench --bench fairness` |
//! | 16 damaged, swapped; key missing | `secrets::tokens_that_do_not_open_set_their_connection_aside_until_they_are_mended`; `tokens_at_rest` |
//! | 17 idle and dripping sockets | `abuse::idle_and_dripping_sockets_keep_nobody_out`, unit tests of `server` |
//! | 17 bodies, nesting, headers, many at once | `abuse::bodies_and_heads_without_measure_are_refused_in_bounded_memory` |
//! | 18 | `machine::without_descriptors_it_goes_on_and_with_them_it_is_whole_again`, `machine::with_too_little_memory_it_holds_or_dies_and_has_lost_nothing` |
//! | 19 | unit tests of `connections`: `storms` |
//!
//! Modules whose names say `on_postgres` or `on_sqlite` need that database: `tests/run` leaves them
//! out of the other run by name, and run all the same they fail rather than pass without having run.

mod abuse;
mod answer_lost;
mod bad_answers;
mod batches;
mod case;
mod clocks;
mod clocks_on_postgres;
mod disk_on_postgres;
mod disk_on_sqlite;
mod limits;
mod machine;
mod nodes_on_postgres;
mod on_postgres;
mod on_sqlite;
mod platform;
mod poison;
mod races;
mod secrets;
mod statuses;
mod tokens;
