//! Both stores pass the conformance suite.

use crate::conformance::store as suite;
use crate::store_fixture::{InOpenDays, InPostgres, InSqlite, StoreFixture};

/// One test per claim and store.
macro_rules! claims {
    ($make:ident: $($claim:ident),* $(,)?) => {
        /// All of them, one after the other.
        pub(crate) async fn every<F: StoreFixture>() {
            $(if let Some(fixture) = F::$make().await {
                suite::$claim(&fixture).await;
            })*
        }

        mod postgres {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                if let Some(fixture) = InPostgres::$make().await {
                    suite::$claim(&fixture).await;
                }
            })*
        }

        mod postgres_with_open_days {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                if let Some(fixture) = InOpenDays::$make().await {
                    suite::$claim(&fixture).await;
                }
            })*
        }

        mod sqlite {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                if let Some(fixture) = InSqlite::$make().await {
                    suite::$claim(&fixture).await;
                }
            })*
        }
    };
}

pub(crate) mod with_tables {
    use super::*;

    claims!(prepared:
        a_series_collision_is_loud,
        an_empty_store_answers_with_nothing,
        every_pass_counts_anew,
        pages_are_complete_and_without_duplicates,
        s07_every_gpu_says_when_it_was_measured_and_stored_last,
        samples_are_selected_by_half_open_range_and_metric,
        the_latest_sample_of_every_series_is_found,
        v10_a_canary_is_found_and_counts_for_nothing,
        v10_old_canaries_are_forgotten,
        the_same_file_in_two_clusters_is_stored_twice,
        v17_a_dead_letter_explains_its_gap,
        v17_a_source_is_growing_until_it_is_signed_off,
        v17_a_source_of_which_nothing_is_stored_is_one_gap,
        v17_changed_counts_are_found,
        v17_every_pass_and_cluster_is_proven,
        v17_progress_says_what_is_stored_and_what_is_missing,
        v17_samples_of_nobody_are_strays,
        v17_samples_that_are_gone_or_added_are_found,
        v17_series_are_summed_up_and_contents_found,
        w04_event_times_and_blanks_are_kept,
        w05_the_real_file_is_stored_as_it_is,
        w09_dead_letters_keep_their_bytes,
        w09_only_the_batch_that_is_bad_is_refused,
        w10_a_deleted_row_of_the_ledger_is_a_gap,
        w10_a_batch_delivered_twice_at_once_is_stored_once,
        w10_partial_overlaps_add_only_what_is_missing,
        w10_replay_adds_no_rows,
        w10_the_rest_of_an_overlap_may_be_delivered_by_itself,
        w12_a_newer_schema_is_refused,
        w10_every_answer_tells_which_life_of_the_data_it_is,
        w13_a_range_cuts_its_first_and_last_bucket,
        w13_additions_are_selected_and_not_repeated,
        w13_buckets_before_the_epoch_begin_at_multiples,
        w13_buckets_hold_what_their_samples_add_up_to,
        w13_the_newest_values_are_found_unless_blank_or_old,
        w13_what_is_added_is_read_once,
        w17_concurrent_stores_store_every_row_once,
    );
}

pub(crate) mod without_tables {
    use super::*;

    claims!(unprepared:
        w12_an_unprepared_store_says_so,
        w12_migrations_at_once_do_not_disturb_each_other,
    );
}
