//! Mistakes that systems of this kind have made, and the test that fails for each.
//!
//! Each was planted in the code, and the named tests were seen to fail with it and to pass without it.
//! `it::` is this binary; all others are unit tests. Those of `it::two_nodes` need PostgreSQL.
//!
//! | Mistake | Fails |
//! |---|---|
//! | **What is planned** | |
//! | A change of the end alone is not noticed | `domain::content::tests::every_field_that_changes_changes_its_part_and_no_other` |
//! | An hour is lost in the hour that autumn repeats | `it::zones::instants_are_exact_in_both_calendars_also_around_clock_changes` |
//! | A cancellation is lost while automatic updates are off | `it::switches::without_automatic_updates_changes_and_cancellations_wait_for_sync_now` |
//! | The mapping of a deleted event keeps it from being made again | `it::create_move_cancel::an_event_the_coach_deleted_comes_back_with_the_next_change` |
//! | After some failed attempts an event that is gone is not believed to be | `plan::retry::tests::an_event_that_is_gone_is_known_to_be_however_much_failed_before`, `it::create_move_cancel::an_event_the_coach_deleted_comes_back_also_after_trouble` |
//! | A deleted event is believed to be there, as nobody looks | `it::create_move_cancel::an_event_the_coach_deleted_comes_back_with_sync_now` |
//! | Client details get out with the switch off | `plan::content::tests::with_details_off_no_template_lets_client_data_through`, `it::privacy::nothing_of_the_client_leaves_by_default` |
//! | The client is invited with the switch off | `plan::content::tests::with_details_off_the_event_is_generic`, `it::privacy::nothing_of_the_client_leaves_by_default` |
//! | Details stay in events after the switch went off | `plan::tests::no_event_shows_details_once_they_are_switched_off`, `it::privacy::details_come_with_the_switch_and_go_with_it_whatever_the_other_switches_say` |
//! | Events stay in the calendar that is no longer the target | `it::backfill::another_target_calendar_takes_the_events_that_are_not_over` |
//! | What left one calendar is in none when the work that brings it to the other is dropped | `plan::tests::an_event_taken_out_of_one_calendar_arrives_in_the_other_though_its_job_is_dropped`, `it::switches::an_event_on_its_way_to_another_calendar_arrives_whatever_is_switched_off_meanwhile` |
//! | What was found gone stays away when the work that brings it back is dropped | `plan::tests::an_event_that_was_found_gone_comes_back_though_its_job_is_dropped` |
//! | A move empties the old calendar before it fills the new one | `it::backfill::events_that_move_are_not_all_taken_out_before_the_first_is_put_in_again` |
//! | An appointment's former coach keeps its event | `it::create_move_cancel::an_appointment_given_to_another_coach_changes_calendars` |
//! | A change taken back while its answer is lost is taken for never made | `it::restart_in_mid_work::a_change_taken_back_while_its_answer_is_lost_is_taken_back_in_the_calendar` |
//! | A create of unknown outcome is made anew | `it::restart_in_mid_work::killed_between_a_call_and_its_record_it_finds_its_events_again`, `it::faults::answer_lost::a_lost_answer_to_a_create_update_or_delete_leaves_one_event_or_none` |
//! | A backfill brings in what is over | `it::backfill::a_first_connect_brings_in_what_is_confirmed_and_not_over` |
//! | **What is stored** | |
//! | The mapping is not written when a round is settled | `it::coach_edits_survive::what_the_coach_wrote_into_our_fields_stays_until_something_of_ours_changes` |
//! | What a call is about to do is not durable before it leaves | `it::restart_in_mid_work::killed_between_a_call_and_its_record_it_finds_its_events_again` |
//! | A job that was under way in a crash is never taken up again | `connections::tests::a_crash_is_followed_by_a_restart_that_takes_up_the_work`, `it::restart_in_mid_work::killed_between_a_call_and_its_record_it_finds_its_events_again` |
//! | A change is dropped while an earlier one is under way | `it::intake::many_changes_of_one_appointment_end_in_the_last`, `it::faults::races::a_cancellation_that_overtakes_leaves_no_event` |
//! | A finished job ends the one queued behind it, too | `it::faults::races::a_thousand_edits_of_one_appointment_end_in_its_last_state_with_few_calls` |
//! | A node that lost its lease records its round all the same | `it::two_nodes::takeover::a_node_whose_lease_was_taken_over_records_nothing`, `it::two_nodes::handover::disconnecting_at_one_node_ends_the_round_of_the_other` |
//! | A settled connection forgets what it has still to do | `it::restart_in_mid_work::a_backlog_survives_restarts_and_kills`, `it::restart_in_mid_work::what_was_acknowledged_while_the_provider_was_down_is_carried_after_a_restart` |
//! | An erased appointment is kept | `it::privacy::an_erasure_that_two_calendars_settle_at_once_is_complete` |
//! | With a coach goes the work that removes their appointments from another coach's calendar | `it::disconnect::a_coach_who_leaves_leaves_no_event_behind_in_a_former_coachs_calendar` |
//! | A settle waits for an appointment with the lease in hand, which who has the appointment wants next | `it::privacy::an_erasure_waits_for_a_report_of_its_appointment_without_its_lease_on_postgres` |
//! | A calendar is refused, as one of its coach's appointments is forgotten that moment | `it::sign_in::an_appointment_that_is_being_erased_is_nothing_to_a_new_calendar_on_postgres`, `it::sign_in::an_appointment_forgotten_while_its_calendar_comes_back_is_left_out_on_postgres` |
//! | Of a batch with a bad appointment the good ones are taken | `it::intake::a_batch_with_one_bad_appointment_is_refused_whole_and_says_where` |
//! | An older revision overwrites a newer one | `api::tests::appointments::a_report_creates_then_changes_then_is_stale`, `it::intake::an_older_revision_changes_nothing` |
//! | A client's address may have a name around it, of any length and with any character | `domain::email::tests::an_address_is_nothing_but_an_address`, `it::intake::a_client_has_an_address_alone_and_nothing_around_it` |
//! | A text is stored by one database and a failure of the other (U+0000) | `it::intake::a_nul_is_refused_wherever_a_text_is_taken` |
//! | The simulators invite what is no address alone | `simulator::tests::google::bad_inserts_are_refused`, `simulator::tests::microsoft::bad_events_are_refused` |
//! | An instant whose year in UTC has five digits is before all others | `api::time::tests::any_offset_is_read_and_utc_is_written`, `it::intake::appointments_are_listed_page_by_page` |
//! | A report that changes nothing is work | `it::intake::what_did_not_change_calls_no_provider` |
//! | A disconnected calendar's tokens are kept | `it::disconnect::a_disconnected_calendar_keeps_its_events_and_we_keep_no_token` |
//! | Of two first reports of one appointment the last to be stored wins, whatever its revision | `it::intake::of_two_first_reports_under_two_coaches_the_newer_revision_stays_on_postgres` |
//! | **Signing in and leaving** | |
//! | A sign-in under way connects a calendar of a coach who has left | `it::disconnect::a_sign_in_whose_coach_leaves_meanwhile_connects_nothing_and_leaves_no_grant` |
//! | With a coach goes a connection that is live, and its grant stays | `it::disconnect::a_calendar_connected_while_its_coach_leaves_is_ended_like_the_others_on_postgres` |
//! | A sign-in ends with the page that waits for it | `it::sign_in::a_coach_who_closes_the_page_is_connected_all_the_same` |
//! | A page shown anew is told that its state was used | `it::sign_in::a_page_shown_anew_in_the_middle_of_a_sign_in_waits_for_its_end` |
//! | A daemon that stops breaks off a sign-in that no page waits for | `it::sign_in::a_daemon_that_stops_finishes_the_sign_ins_whose_pages_are_closed` |
//! | A browser waits for as long as the provider takes | `api::tests::sign_in::a_browser_that_has_waited_long_enough_is_sent_back_with_an_error` |
//! | A browser waits for a database that does not answer | `it::sign_in::a_browser_that_comes_back_to_a_silent_database_is_sent_back_in_time_on_postgres` |
//! | A panic leaves the browser at our address | `api::tests::sign_in::a_fault_of_ours_sends_the_browser_back_all_the_same` |
//! | Two who end their connections to one account at once leave its grant to each other | `it::disconnect::of_two_coaches_who_end_one_account_at_once_the_last_gives_the_grant_back_on_postgres` |
//! | A grant is given back on which another coach lives by now | `api::tests::sign_in::a_grant_on_which_another_coach_lives_by_now_is_not_given_back` |
//! | **When it is tried again** | |
//! | `Retry-After` is ignored | `provider::http::tests::a_wait_that_is_over_already_is_none`, `provider::google::failure::tests::slow_limits_wait_for_hours_and_an_overloaded_server_for_what_it_asks` |
//! | Being limited costs an attempt | `it::rate_limits::being_limited_costs_no_attempt_and_is_waited_out` |
//! | A new sign-in, or a disconnect, lifts the limit of an account | `it::rate_limits::a_limit_outlasts_a_new_sign_in_and_a_disconnect` |
//! | A provider that is not configured for a while lifts the limits of its accounts | `it::rate_limits::a_limit_outlasts_a_provider_that_is_not_configured_for_a_while` |
//! | A limit is obeyed by the work alone, and a person's call goes out | `it::rate_limits::a_limit_holds_for_those_who_press_a_button_as_well` |
//! | A limit of the project is obeyed by the work alone | `it::rate_limits::a_limit_of_the_project_holds_for_those_who_press_a_button_as_well` |
//! | A limit that a person's call meets is forgotten | `it::rate_limits::a_limit_told_to_a_person_holds_for_the_work_as_well` |
//! | A person is refused for a second of our own limiter's | `it::rate_limits::a_long_backfill_keeps_nobody_from_listing_the_calendars` |
//! | A call of three units is charged as one | `connections::bucket::tests::no_window_ever_lets_more_than_the_quota_through` |
//! | A daemon that was killed begins with a full limiter | `connections::limiter::tests::in_another_epoch_it_begins_empty_unless_the_account_has_rested` |
//! | A limit that names no time is met with a full batch every ten seconds | `plan::breaker::tests::a_limit_without_a_time_is_waited_for_ever_longer_and_then_tried_with_one_change` |
//! | After a restart the first change waits for a batch's worth of quota | `connections::outcome::tests::who_finds_its_limiter_empty_comes_for_the_first_drop_and_who_emptied_it_for_a_batch` |
//! | A connection that comes and goes begins with a full limiter each time | `connections::tests::an_idle_worker_stays_until_its_limiter_is_full_again` |
//! | Two outages are one of twice the length to what was reported between | `plan::breaker::tests::two_outages_with_little_between_them_are_not_added_up`, `plan::retry::tests::an_outage_takes_no_last_attempt_and_delays_nothing_beyond_its_end` |
//! | An outage takes a job's last attempt | `plan::retry::tests::an_outage_takes_no_last_attempt_and_delays_nothing_beyond_its_end` |
//! | Work that always fails is tried for ever | `it::retries::after_the_last_attempt_a_job_has_failed_and_can_be_replayed` |
//! | A replay takes up again what has failed anew since it began | `it::retries::a_replay_takes_each_failed_job_once_whatever_fails_again_meanwhile_on_sqlite` |
//! | What is refused for good is tried again | `it::retries::what_a_provider_refuses_for_good_is_not_tried_again` |
//! | One connection in trouble pauses all others | `connections::gate::tests::one_connection_never_shuts_the_gate_and_neither_do_failures_days_apart` |
//! | One organisation that shuts us out pauses all others | `connections::gate::tests::an_organisation_that_does_not_let_us_in_stops_its_own_connection_alone`, `it::isolation::an_organisation_that_shuts_us_out_stops_its_own_coaches_alone` |
//! | Who was refused probes first, each time | `it::isolation::an_organisation_that_shuts_us_out_stops_its_own_coaches_alone` |
//! | A connection's breaker never closes again | `plan::breaker::tests::one_success_lets_full_batches_through_again` |
//! | A provider's gate never opens again | `connections::gate::tests::the_first_sensible_answer_opens_it_once` |
//! | A worker's panic takes the actor tree along | `connections::tests::a_worker_that_panics_each_time_is_set_aside_and_comes_back_by_itself` |
//! | **Tokens** | |
//! | A token that is refused parks its connection without a refresh | `it::refresh_and_reauth::a_token_refused_before_its_time_is_replaced_without_anyone_noticing` |
//! | No token is refreshed ahead of its end | `it::refresh_and_reauth::tokens_are_refreshed_ahead_of_their_end_also_when_they_rotate` |
//! | A rotated refresh token is not stored | `it::refresh_and_reauth::tokens_are_refreshed_ahead_of_their_end_also_when_they_rotate` |
//! | A late refresh overwrites the tokens of a newer sign-in | `connections::tests::ownership::a_refresh_that_ends_after_a_new_sign_in_replaces_nothing` |
//! | Trouble while refreshing stops work that has a good token | `it::faults::tokens::work_goes_on_while_the_token_endpoint_is_down_and_the_access_is_good` |
//! | A grant whose refusal a person's call meets is tried on | `it::refresh_and_reauth::a_revoked_grant_that_a_person_meets_parks_the_connection_at_once` |
//! | A refused grant drops what is queued | `it::refresh_and_reauth::a_revoked_grant_parks_the_connection_and_signing_in_again_catches_up` |
//! | **Nodes** | |
//! | Whoever changes something waits for ever for a database that is gone | `it::faults::on_postgres::whoever_changes_something_is_told_in_time_that_the_database_is_gone_in_the_middle_of_it` |
//! | A lease is not renewed while its work goes on | `connections::tests::ownership::a_lease_is_nobody_elses_while_it_is_renewed_and_anybodys_afterwards` |
//! | A lease is taken from a node that holds it | `connections::tests::ownership::a_lease_is_nobody_elses_while_it_is_renewed_and_anybodys_afterwards`, `it::two_nodes::handover::health_names_the_owner_of_what_is_elsewhere` |
//! | Who takes a lease over overlooks the limit that its last owner has just stored | `it::two_nodes::takeover::what_the_last_owner_stored_while_the_lease_was_waited_for_is_kept_on_postgres` |
//! | A lease that ends during a look for work counts neither as held nor as free, and waits for the slow poll | `it::two_nodes::takeover::a_lease_that_ends_in_the_middle_of_a_look_is_not_overlooked_on_postgres` |
//! | A process that was stopped goes on after its lease has ended | `connections::context::tests::a_call_takes_no_step_after_a_pause_that_was_longer_than_the_lease` |
//! | Every node uses the whole quota | `plan::share::tests::all_parts_together_are_never_more_than_the_whole` |
//! | Work that one node takes in is not told to its owner | `it::two_nodes::wakeups::what_one_node_takes_in_its_owner_carries_at_once` |
//! | **Live status** | |
//! | Of what ends while clocks differ, readers miss a part | `it::live_status::what_ends_after_the_clock_was_set_back_is_told_all_the_same` |
//! | A page that comes back is told all from the beginning | `it::live_status::a_page_that_comes_back_is_told_what_it_missed_and_nothing_twice` |
//! | A page is told the same jobs again | `it::live_status::a_page_that_comes_back_is_told_what_it_missed_and_nothing_twice` |
//! | Work that is done wakes no page | `it::live_status::a_burst_is_told_in_few_events_and_each_job_once` |
//! | Every job is an event and a look of its own | `it::live_status::a_burst_is_told_in_few_events_and_each_job_once` |
//! | A calendar that is connected appears on no open page | `it::live_status::a_page_of_the_coach_sees_settings_and_which_connections_come_and_go` |
//! | What another node does appears on no page | `it::two_nodes::live_status::what_one_node_does_appears_on_a_page_at_the_other_on_postgres` |
//! | A stream outlives its token | `it::live_status::a_stream_ends_with_its_token` |
//! | A stream is open to strangers | `it::live_status::nobody_watches_what_is_not_theirs` |
//! | Open pages hold up a daemon that stops | `it::live_status::a_daemon_that_stops_ends_its_streams_at_once` |
//! | One caller takes all streams | `it::live_status::a_caller_opens_no_more_streams_than_its_share` |
//! | A stream that is read is taken for an idle connection | `server::tests::an_answer_that_goes_on_is_no_idle_connection_and_one_that_is_not_read_is_cut_off` |
//! | **Providers** | |
//! | A create that was made before is a failure (409) | `provider::google::change::tests::a_create_that_landed_before_is_adopted_with_the_content_asked_for_now`, `provider::microsoft::change::tests::a_known_transaction_leads_to_its_event` |
//! | A create after a lost answer does not look first | `provider::microsoft::change::tests::a_create_takes_one_call_and_one_after_a_lost_answer_searches_first` |
//! | The event's id is left to the provider | `provider::google::convert::tests::a_new_event_carries_our_id_our_marks_and_text_that_stays_text` |
//! | An update overwrites the coach's edit (no `If-Match`) | `provider::google::change::tests::an_update_of_a_known_version_is_one_conditional_patch_of_what_changed`, `provider::microsoft::change::tests::an_update_of_a_known_version_is_one_conditional_patch_of_what_changed` |
//! | An update drops the coach's guests | `provider::guests::tests::foreign_guests_stay_and_our_former_guest_goes`, `it::coach_edits_survive::colour_reminders_meeting_guests_and_answers_survive_every_update` |
//! | A guest who is on the list is sent again, and the answer given is lost | `provider::guests::tests::a_list_that_was_not_read_is_replaced_only_by_another_guest`, `provider::google::change::tests::a_guest_who_is_on_the_list_is_not_sent_again`, `provider::microsoft::change::tests::a_guest_who_is_on_the_list_is_not_sent_again`, `it::coach_edits_survive::the_guests_answer_survives_a_catching_up_after_our_changes` |
//! | A guest list of which nobody knows who is on it is written unread | `plan::tests::a_guest_list_in_doubt_is_read_before_it_is_written` |
//! | An event that was read and written in part counts as written by us alone | `provider::google::change::tests::the_version_of_an_event_that_was_read_and_written_in_part_is_not_kept`, `provider::microsoft::change::tests::the_version_of_an_event_that_was_read_and_written_in_part_is_not_kept`, `it::coach_edits_put_right::a_title_by_hand_outlives_a_move_and_not_sync_now`, `it::coach_edits_put_right::an_hour_by_hand_outlives_a_change_of_text_and_not_sync_now`, `it::coach_edits_put_right::an_event_made_all_day_by_hand_gets_its_hours_back_with_the_next_move_or_sync_now` |
//! | An event made all-day is given hours beside its days | `provider::google::convert::tests::a_merge_sends_back_foreign_guests_untouched_and_undoes_all_day`, `provider::microsoft::convert::tests::a_merge_keeps_foreign_guests_the_meeting_and_undoes_all_day`, `it::coach_edits_put_right::an_event_made_all_day_by_hand_gets_its_hours_back_with_the_next_move_or_sync_now` |
//! | A former client stays on the guest list | `provider::guests::tests::foreign_guests_stay_and_our_former_guest_goes` |
//! | Guests are mailed | `provider::google::batch::tests::a_batch_names_each_call_by_its_path_and_carries_condition_and_body` |
//! | Deleting what is gone is a failure (404) | `provider::google::change::tests::a_delete_is_done_whether_or_not_the_event_was_there`, `provider::microsoft::change::tests::a_create_that_landed_before_is_adopted_and_doubles_of_it_are_removed` |
//! | Updating what is gone is refused for good (410) | `provider::google::change::tests::an_update_of_an_event_that_left_no_trace_asks_for_the_next_generation`, `provider::microsoft::change::tests::an_update_of_an_event_that_left_no_trace_asks_for_the_next_generation` |
//! | An event that Google shows late is made twice (409, then 404) | `provider::google::change::tests::a_create_whose_id_is_taken_waits_for_the_event_to_show_and_not_for_ever`, `it::faults::answer_lost::an_event_that_is_shown_late_is_waited_for_and_not_made_twice` |
//! | An event that Outlook shows late is made twice (duplicate, then no find) | `provider::microsoft::change::tests::a_known_transaction_waits_for_its_event_to_show_and_not_for_ever`, `it::faults::answer_lost::an_event_that_a_search_shows_late_or_never_does_not_stand_beside_another` |
//! | The event that Outlook names as made is left beside the next | `provider::microsoft::change::tests::an_event_that_graph_names_as_made_is_kept_or_removed_but_never_left_beside_another`, `it::faults::answer_lost::an_event_that_a_search_shows_late_or_never_does_not_stand_beside_another` |
//! | What is in a calendar out of reach is taken for gone, and made again (404) | `provider::google::change::tests::an_event_in_a_calendar_out_of_reach_is_not_taken_for_gone`, `provider::microsoft::change::tests::an_event_in_a_calendar_out_of_reach_is_not_taken_for_gone`, `it::faults::statuses::a_calendar_out_of_reach_is_waited_for_and_its_events_are_not_made_again` |
//! | A calendar that was left and deleted is waited for | `it::backfill::a_calendar_that_was_left_and_deleted_holds_up_nothing` |
//! | A batch's parts are matched by position | `provider::google::batch::tests::parts_find_their_calls_in_any_order_and_missing_ones_are_missing`, `provider::microsoft::batch::tests::items_find_their_calls_in_any_order_and_odd_ones_are_missing` |
//! | A missing part of a batch is taken for a success | `it::faults::batches::parts_that_are_missing_extra_twice_or_in_any_order_are_settled_one_by_one` |
//! | An answer is read however large it is | `provider::http::tests::an_endless_answer_is_read_to_the_limit_and_no_further` |
//! | A redirect is followed, token and all | `provider::http::tests::a_redirect_is_an_answer_and_no_order` |
//! | A client's text becomes markup | `provider::google::convert::tests::no_text_survives_as_markup` |
//! | **Who may do what** | |
//! | A sign-in's state works twice | `api::tests::sign_in::a_state_works_once_in_its_own_browser_and_for_ten_minutes` |
//! | A sign-in may end in another browser | `api::tests::sign_in::a_state_works_once_in_its_own_browser_and_for_ten_minutes` |
//! | A sign-in's state works for ever | `api::tests::sign_in::a_state_works_once_in_its_own_browser_and_for_ten_minutes` |
//! | A sign-in without the calendar's scope is a connection | `oauth::scopes::tests::an_unticked_calendar_box_is_missing` |
//! | A sealed token opens in another row | `security::sealed::tests::a_secret_moved_to_another_row_column_or_table_does_not_open` |
//! | A coach sees another's connection | `api::tests::connections::anothers_connection_looks_like_none` |
//! | A coach is told that another's connection exists (403) | `api::tests::connections::anothers_connection_looks_like_none` |
//! | **Webhooks** | |
//! | A signature is made with the text of the secret | `webhooks::secret::tests::a_fresh_secret_has_the_form_of_the_specification`, `webhooks::signature::tests::the_published_example_is_signed_as_published` |
//! | An event overtakes an earlier one of its appointment | `it::webhooks::told::what_happens_to_one_appointment_arrives_in_its_order_and_holds_up_no_other` |
//! | The first retry comes minutes late | `webhooks::schedule::tests::no_attempt_is_planned_in_the_past_or_beyond_the_longest_pause`, `webhooks::schedule::tests::seven_more_attempts_follow_the_first_over_about_a_day` |
//! | A receiver may ask us to wait for ever | `webhooks::schedule::tests::no_attempt_is_planned_in_the_past_or_beyond_the_longest_pause` |
//! | A webhook that fails for days stays enabled | `webhooks::schedule::tests::who_is_gone_or_failed_for_days_is_disabled`, `it::webhooks::retries::a_webhook_that_fails_for_days_is_disabled_and_enabled_again_is_told_what_it_missed` |
//! | 410 is taken for a failure like any other | `webhooks::schedule::tests::who_is_gone_or_failed_for_days_is_disabled`, `it::webhooks::retries::who_answers_410_is_told_nothing_more` |
//! | Events are kept for a webhook that is off | `it::webhooks::told::only_what_is_wanted_is_written_down_and_nothing_for_nobody`, `it::webhooks::retries::who_answers_410_is_told_nothing_more` |
//! | A redirect leads a delivery elsewhere | `it::webhooks::addresses::a_redirect_is_not_followed` |
//! | A name leads to a private address from one moment to the next | `webhooks::address::tests::a_name_is_worth_what_its_addresses_are`, `it::webhooks::addresses::nothing_leads_to_private_addresses_not_even_a_name_that_changes_its_mind` |
//! | What the setting no longer allows is sent to | `it::webhooks::addresses::an_address_that_is_allowed_no_longer_is_not_sent_to` |
//! | A name is registered that leads to a private address | `webhooks::address::tests::a_name_is_worth_what_its_addresses_are`, `it::webhooks::addresses::nothing_leads_to_private_addresses_not_even_a_name_that_changes_its_mind` |
//! | A webhook is led to a private address afterwards | `it::webhooks::addresses::nothing_leads_to_private_addresses_not_even_a_name_that_changes_its_mind` |
//! | A kind of private address counts as public | `webhooks::address::tests::only_the_public_internet_is_public` |
//! | A secret that was replaced signs for ever | `it::webhooks::secrets::for_a_day_both_secrets_sign_and_then_the_new_one_alone` |
//! | The answer that shows a secret is kept in plain text | `it::webhooks::secrets::a_secret_is_shown_once_changed_without_a_gap_and_stored_sealed` |
//! | A client's name is in a payload | `it::webhooks::told::each_kind_of_event_is_told_signed_and_without_anything_of_clients` |
//! | A replay goes on counting where the delivery had ended | `it::webhooks::retries::a_delivery_is_tried_on_the_schedule_given_up_after_a_day_and_can_be_replayed` |
//! | A replay takes more than was meant | `it::webhooks::retries::a_delivery_is_tried_on_the_schedule_given_up_after_a_day_and_can_be_replayed` |
//! | A replay reaches another webhook's delivery | `it::webhooks::retries::a_delivery_is_tried_on_the_schedule_given_up_after_a_day_and_can_be_replayed` |
//! | A receiver that does not answer holds up the others | `it::webhooks::told::a_webhook_that_does_not_answer_holds_up_no_other` |
//! | A webhook that was switched off is owed what was pending | `it::webhooks::registry::switched_off_it_is_owed_nothing_and_what_it_missed_can_be_replayed` |
//! | A webhook may be owed any number of deliveries | `store::webhooks::tests::a_webhook_is_owed_no_more_than_so_much_however_long_it_lay_there` |
//! | What a dead node had taken is never sent | `store::webhooks::tests::what_a_node_took_and_never_settled_is_anothers_once_its_claim_has_ended` |
//! | Nobody is told that a calendar was disconnected | `it::webhooks::told::each_kind_of_event_is_told_signed_and_without_anything_of_clients` |
//! | **API tokens** | |
//! | A token picks no key by its `kid` | `security::api_token::tests::issuer::a_withdrawn_key_stops_working_when_the_set_is_fetched_anew`, `security::api_token::tests::issuer::an_unknown_key_is_looked_up_at_most_every_thirty_seconds` |
//! | A token without a signature is believed | `security::api_token::tests::issuer::a_published_key_is_never_a_shared_secret`, `security::api_token::tests::secret::other_algorithms_and_broken_texts_are_refused` |
//! | A key that is meant for something else is believed | `security::api_token::tests::issuer::keys_meant_for_something_else_are_ignored` |
//! | Each unknown `kid` fetches the keys | `security::api_token::tests::issuer::a_dead_endpoint_keeps_known_keys_working`, `security::api_token::tests::issuer::an_unknown_key_is_looked_up_at_most_every_thirty_seconds` |
//! | A dead key endpoint is asked at each request | `security::api_token::tests::issuer::a_dead_endpoint_keeps_known_keys_working` |
//! | A dead key endpoint locks everybody out | `security::api_token::tests::issuer::a_dead_endpoint_keeps_known_keys_working` |
//! | Tokens are believed long after their end | `security::api_token::tests::secret::a_signed_token_is_believed_until_it_expires`, `security::api_token::tests::secret::claims_are_required_and_checked` |
//! | A token that names no issuer is believed | `security::api_token::tests::secret::issuer_and_audience_are_checked_when_set` |
//! | A token that names no audience is believed | `security::api_token::tests::secret::issuer_and_audience_are_checked_when_set` |
//! | A token is believed before its time | `security::api_token::tests::secret::claims_are_required_and_checked`, `it::api_tokens::an_issuers_tokens_are_believed_or_refused_with_a_reason` |
//! | A token without an end is believed | `security::api_token::tests::secret::claims_are_required_and_checked`, `it::api_tokens::an_issuers_tokens_are_believed_or_refused_with_a_reason` |
//! | A withdrawn key is believed for ever | `security::api_token::tests::issuer::a_dead_endpoint_keeps_known_keys_working`, `security::api_token::tests::issuer::a_withdrawn_key_stops_working_when_the_set_is_fetched_anew` |
//! | A key set is read however large it is | `security::api_token::tests::issuer::without_any_key_nobody_is_refused_for_good` |
//! | A token without a `kid` is checked with any of several keys | `security::api_token::tests::issuer::a_token_without_a_kid_is_believed_only_where_one_key_alone_can_be_meant` |
//! | A code is sent on although the redirect names another issuer | `it::sign_in::a_code_that_says_it_is_anothers_is_sent_nowhere` |
//! | Any issuer counts as Microsoft | `oauth::issuer::tests::a_provider_is_known_by_its_own_name_alone` |
//! | **Who may do what, over HTTP** | |
//! | One operation forgets whose connection it is | `it::authorization::every_operation_is_open_to_those_who_may_and_to_nobody_else` |
//! | A stranger's change is made, and then answered 404 | `it::authorization::what_those_who_may_not_tried_to_end_is_still_there` |
//! | The platform may do what is for operators | `it::authorization::every_operation_is_open_to_those_who_may_and_to_nobody_else` |
//! | An appointment shows its former coach's connection | `it::authorization::an_appointment_that_changes_hands_is_its_new_coachs_alone` |
//! | **Sent again** | |
//! | Another body under the same key gets the old answer | `api::idempotency::key::tests::a_key_is_its_callers_and_a_request_is_path_query_and_body`, `api::tests::idempotency::another_body_path_or_query_under_the_same_key_is_refused` |
//! | Two callers share a key | `api::tests::idempotency::a_key_is_its_callers_own` |
//! | What is sent twice at once is done twice | `api::tests::idempotency::a_request_that_takes_longer_than_a_hold_is_not_carried_out_twice`, `api::tests::idempotency::twenty_at_once_are_carried_out_once` |
//! | An answer is kept for less than a day | `api::tests::idempotency::an_answer_is_kept_for_a_day`, `store::idempotency::tests::an_answer_is_kept_for_a_day_and_nothing_changes_it` |
//! | A slow request is carried out a second time | `api::tests::idempotency::a_request_that_takes_longer_than_a_hold_is_not_carried_out_twice` |
//! | What asks to come back is the answer for a day | `api::tests::idempotency::an_answer_that_asks_to_come_back_is_not_kept`, `api::tests::idempotency::what_was_refused_before_anything_was_done_is_kept_nowhere` |
//! | One POST does not look at its key | `api::tests::idempotency::another_body_path_or_query_under_the_same_key_is_refused`, `api::tests::idempotency::what_is_sent_again_is_answered_alike_and_does_nothing` |
//! | Answers outlive the coach they are about | `api::tests::idempotency::of_a_coach_who_is_forgotten_no_answer_is_kept` |
//! | **Conditions** | |
//! | Of two changes under the same tag both are made | `it::conditional::of_changes_made_at_once_with_the_same_tag_one_wins` |
//! | A weak tag allows a change | `api::entity_tag::tests::a_change_needs_a_strong_tag_and_knowing_is_content_with_a_weak_one`, `it::conditional::a_tag_outlives_syncs_and_refreshes_and_ends_with_a_change_of_settings` |
//! | A change leaves the tag as it was | `it::conditional::a_tag_outlives_syncs_and_refreshes_and_ends_with_a_change_of_settings`, `it::conditional::of_changes_made_at_once_with_the_same_tag_one_wins` |
//! | Time alone changes a tag | `it::conditional::time_alone_changes_no_tag_while_work_is_waiting` |
//! | **Limits** | |
//! | 429 does not say when to come back | `it::request_limits::a_caller_who_asks_too_much_waits_and_no_other_does`, `it::request_limits::an_address_is_counted_before_anybody_is_believed` |
//! | A body may be as large as the largest of all operations, if it comes with a key | `api::tests::edge::an_operation_reads_no_more_than_its_own_body_can_need`, `it::faults::abuse::a_coach_has_no_body_read_that_is_larger_than_any_of_the_coachs` |
//! | A coach's body is read before it is refused | `it::faults::abuse::a_coach_has_no_body_read_that_is_larger_than_any_of_the_coachs` |
//! | All bodies together may be as large as there is memory | `api::tests::edge::where_there_is_no_room_a_body_is_asked_to_come_back` |
//! | A body keeps its room when its request has ended | `api::tests::edge::where_there_is_no_room_a_body_is_asked_to_come_back` |
//! | One caller uses up the requests of all | `api::edge::limits::tests::each_caller_has_a_window_of_its_own_that_refills`, `it::request_limits::a_caller_who_asks_too_much_waits_and_no_other_does` |
//! | An address may ask without end | `it::request_limits::a_proxy_speaks_for_its_clients_only_if_it_is_trusted`, `it::request_limits::an_address_is_counted_before_anybody_is_believed` |
//! | Anybody says for whom they speak | `api::edge::limits::address::tests::only_a_trusted_proxy_says_who_speaks_through_it`, `it::request_limits::a_proxy_speaks_for_its_clients_only_if_it_is_trusted` |
//! | A client's invention is believed for a proxy's word | `api::edge::limits::address::tests::only_a_trusted_proxy_says_who_speaks_through_it` |
//! | Good tokens wait with the bad ones of their address | `it::request_limits::a_caller_who_asks_too_much_waits_and_no_other_does`, `it::request_limits::bad_tokens_are_told_so_ever_later_and_good_ones_are_heard_at_once` |
//! | An expired token counts as a guess | `it::request_limits::a_token_that_has_expired_is_told_so_however_often_it_comes` |
//! | Each address of a network is another stranger | `api::edge::limits::address::tests::a_network_of_64_bits_is_one_address` |
//! | **The audit trail** | |
//! | What was done has no line in the audit trail | `it::audit::of_a_coach_who_is_forgotten_only_ids_stay`, `it::audit::the_trail_tells_who_did_what_and_nothing_of_clients` |
//! | What was done to a webhook has no line | `it::audit::what_is_done_to_webhooks_has_its_lines_without_addresses_and_secrets` |
//! | A template's words are in the trail | `it::audit::the_trail_tells_who_did_what_and_nothing_of_clients` |
//! | A webhook's address is in the trail | `it::audit::what_is_done_to_webhooks_has_its_lines_without_addresses_and_secrets` |
//! | The trail of a forgotten coach keeps more than ids | `it::audit::of_a_coach_who_is_forgotten_only_ids_stay` |
//! | **What operators see** | |
//! | A trace ends at the queue | `it::traces::one_trace_leads_from_the_request_over_a_restart_to_the_providers_call` |
//! | Each probe is a trace | `it::traces::one_trace_leads_from_the_request_over_a_restart_to_the_providers_call` |
//! | A line of a job does not say of which request | `it::logs::one_search_for_the_request_id_finds_a_change_from_the_request_to_the_calendar` |
//! | Each poll is a line | `it::logs::an_idle_daemon_says_nothing_however_often_it_polls_and_is_probed` |
//! | What happens is counted nowhere | `it::watching::promtool_finds_nothing_to_say_about_the_metrics_of_a_busy_daemon` |
//! | Refreshes are counted nowhere | `it::refresh_and_reauth::tokens_are_refreshed_ahead_of_their_end_also_when_they_rotate` |
//! | A machine that slept counts as stuck | `watchdog::tests::a_machine_that_slept_or_a_clock_that_was_set_makes_nobody_stuck` |
//! | Readiness does not say who is stuck | `it::watchdog::a_worker_that_hangs_is_said_to_and_forgotten_when_the_work_gets_on` |
//! | A watchdog that does not look counts as content | `watchdog::tests::a_watchdog_that_does_not_look_is_trouble_itself` |
//! | A page of the actors holds them all | `daemon::actors::tests::pages_of_many_hold_the_lowest_ids_in_order_and_say_how_many_they_left_out`, `it::actors::pages_show_each_connection_once_under_the_numbers_of_all` |
//! | A filter changes the numbers of all | `it::actors::pages_show_each_connection_once_under_the_numbers_of_all` |
//! | `doctor` overlooks another origin of the redirect | `it::doctor::each_thing_that_is_wrong_is_found_with_its_remedy` |
//! | `doctor` overlooks a schema that is too old | `it::doctor::each_thing_that_is_wrong_is_found_with_its_remedy` |
//! | `doctor` does not try the keys | `it::doctor::a_daemon_that_is_well_set_up_has_nothing_wrong`, `it::doctor::each_thing_that_is_wrong_is_found_with_its_remedy` |
//! | `doctor` overlooks a clock that is off | `doctor::clock::tests::a_clock_that_is_off_is_found_in_either_direction`, `doctor::clock::tests::a_provider_whose_clock_is_another_is_found` |
//! | `doctor` overlooks a wrong client secret | `it::doctor::each_thing_that_is_wrong_is_found_with_its_remedy` |
//! | A backup is for everybody to read | `it::faults::on_sqlite::after_an_older_backup_is_restored_events_are_adopted_and_not_doubled` |
//! | A backup lacks what is in the log only | `it::faults::on_sqlite::after_an_older_backup_is_restored_events_are_adopted_and_not_doubled` |
//! | A backup that failed leaves a file | `it::faults::on_sqlite::a_backup_overwrites_nothing_and_leaves_nothing_half_done` |
//! | **What browsers are told** | |
//! | Answers go out without a policy | `it::headers::every_answer_forbids_foreign_framing_sniffing_referrers_and_foreign_scripts` |
//! | The dashboard allows inline styles | `it::headers::every_answer_forbids_foreign_framing_sniffing_referrers_and_foreign_scripts` |
//! | The dashboard may be framed | `it::headers::every_answer_forbids_foreign_framing_sniffing_referrers_and_foreign_scripts` |
//! | A script reads the sign-in's cookie | `it::headers::the_cookie_of_a_sign_in_is_for_that_alone`, `api::tests::sign_in::a_coach_signs_in_and_the_account_is_an_active_connection` |
//! | An answer of the API is kept in a cache | `it::headers::every_answer_forbids_foreign_framing_sniffing_referrers_and_foreign_scripts`, `api::tests::sign_in::a_coach_signs_in_and_the_account_is_an_active_connection` |

use std::fs;
use std::path::Path;

/// Whether the file of one of the path's modules holds a test of this name.
fn is_there(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (sources, path) = match path.strip_prefix("it::") {
        Some(path) => (root.join("tests/it"), path),
        None => (root.join("src"), path),
    };
    let mut modules: Vec<&str> = path.split("::").collect();
    let Some(name) = modules.pop() else {
        return false;
    };
    let declared = format!("fn {name}(");
    // Its own file's, unless the last module is inside that of the one before.
    let files = [modules.len(), modules.len().saturating_sub(1)].map(|depth| {
        let module = sources.join(modules[..depth].join("/"));
        [module.with_extension("rs"), module.join("mod.rs")]
    });
    files.iter().flatten().any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let before = text.split_once(&declared).map(|(before, _)| before);
        before.is_some_and(|before| {
            let attributes = before.rsplit("\n\n").next().unwrap_or_default();
            attributes.contains("#[test]") || attributes.contains("#[tokio::test")
        })
    })
}

#[test]
fn every_test_that_is_named_exists() {
    let rows = include_str!("planted.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    let named: Vec<&str> = rows
        .flat_map(|row| row.split('`').skip(1).step_by(2))
        .filter(|text| text.contains("::"))
        .collect();
    assert!(named.len() > 60, "the list is read: {}", named.len());
    let missing: Vec<&str> = named.into_iter().filter(|path| !is_there(path)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
