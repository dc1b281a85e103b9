//! What an older server cannot do, so that the tests of it would only show that.

use super::release::Release;

/// Tests that take a newer server.
struct Unsupported {
    /// The first OTP that can do it.
    since: u32,
    program: &'static str,
    tests: &'static [&'static str],
    reason: &'static str,
}

const NO_ALIAS: &str = "process aliases came with OTP 24";

const EPMD_LOST: &str = "OTP 23 does not register again with an EPMD that was killed and came back";

/// No OTP.
const NEVER: u32 = u32::MAX;

const NO_ALERT: &str = "OTP 23 closes a plain connection to its TLS port without an alert";

const UNSUPPORTED: &[Unsupported] = &[
    Unsupported {
        since: NEVER,
        program: "admin",
        tests: &[
            "page::a_node_comes_and_goes_while_one_looks",
            "page::names_and_reasons_of_others_are_text",
        ],
        reason: "the images have no browser; `cargo xtask test` looks at the page in one",
    },
    Unsupported {
        since: 25,
        program: "tls",
        tests: &[
            "refused::what_others_do_not_take_from_us",
            "roles::each_version_alone",
            "roles::keys_are_changed_on_the_way",
        ],
        reason: "in TLS 1.3, which is not its default, OTP 23 signs with SHA-384 where a key of P-256 demands SHA-256",
    },
    Unsupported {
        since: 25,
        program: "tls",
        tests: &["commands::what_is_wrong_is_said", "mixing::a_plain_node_and_a_beam_with_tls"],
        reason: NO_ALERT,
    },
    Unsupported {
        since: 25,
        program: "doctor",
        tests: &["nodes::a_node_speaks_tls"],
        reason: NO_ALERT,
    },
    Unsupported {
        since: 25,
        program: "cli_call",
        tests: &["literals_mean_what_they_mean_to_elixir"],
        reason: "Elixir 1.10 has no ranges with a step, which came with 1.12",
    },
    Unsupported {
        since: 25,
        program: "epmd",
        tests: &["takes_over_from_an_epmd_that_is_killed"],
        reason: EPMD_LOST,
    },
    Unsupported {
        since: 25,
        program: "process",
        tests: &[
            "load::signals_keep_their_order_whatever_they_are_sent_to",
            "monitors_are_as_between_beam_nodes",
        ],
        reason: NO_ALIAS,
    },
    Unsupported {
        since: 25,
        program: "process",
        tests: &["load::both_sides_agree_on_a_link_after_any_number_of_links_and_unlinks"],
        reason: "the link protocol of OTP 23 has no acknowledgements, and both sides may differ after signals that cross",
    },
    Unsupported {
        since: 25,
        program: "rpc_in",
        tests: &["spawned_processes_are_processes"],
        reason: NO_ALIAS,
    },
    Unsupported {
        since: 25,
        program: "rpc_worker",
        tests: &["elixir_calls_and_spawns_the_functions_of_the_example"],
        reason: "Node.spawn_monitor came with Elixir 1.14",
    },
    Unsupported {
        since: 25,
        program: "serde",
        tests: &["elixir_and_rust_mean_the_same"],
        reason: "the operator ** came with Elixir 1.13",
    },
    Unsupported {
        since: 25,
        program: "join_cluster",
        tests: &[
            "epmd_killed_and_started_again_costs_no_link",
            "two_rust_nodes_serve_epmd_one_after_the_other",
        ],
        reason: EPMD_LOST,
    },
    Unsupported {
        since: 25,
        program: "etf",
        tests: &["elixir_prints_our_terms_as_we_do"],
        reason: "Elixir 1.10 prints -0.0 as 0.0",
    },
    Unsupported {
        since: 25,
        program: "etf",
        tests: &["elixir_prints_its_own_structs_as_we_do"],
        reason: "Elixir 1.10 has no ranges with a step, which came with 1.12",
    },
    Unsupported {
        since: 25,
        program: "etf",
        tests: &["otp_reads_prints_orders_and_writes_our_terms_as_we_do"],
        reason: "OTP 23 does not read the identifiers of newer ones, such as ports of 64 bits",
    },
    Unsupported {
        since: 25,
        program: "fragments",
        tests: &["order::signals_of_one_process_stay_in_order_around_a_large_message"],
        reason: NO_ALIAS,
    },
    Unsupported {
        since: 25,
        program: "gen_server",
        tests: &[
            "client::servers_that_are_written_by_hand_may_reply_plainly",
            "served::a_tag_of_any_shape_comes_back_as_it_was",
        ],
        reason: NO_ALIAS,
    },
    Unsupported {
        since: 25,
        program: "gen_server",
        tests: &[
            "load::a_hundred_thousand_calls_with_random_time_outs_leave_nothing",
            "served::a_reply_that_is_late_reaches_nobody",
            "served::the_questions_of_sys",
        ],
        reason: "without aliases a reply that comes too late stays in the caller's mailbox",
    },
    Unsupported {
        since: 25,
        program: "global",
        tests: &["partitions::each_link_in_turn_is_lost_and_healed"],
        reason: "OTP 23 has no prevent_overlapping_partitions",
    },
    Unsupported {
        since: 25,
        program: "handshake",
        tests: &["a_live_connection_is_replaced_or_kept"],
        reason: "OTP 23 waits for the earlier connection to close by itself",
    },
    Unsupported {
        since: 25,
        program: "gen_server",
        tests: &["served::requests_that_are_waited_for_later"],
        reason: "gen_server:receive_response came with OTP 24",
    },
];

/// The tests of `program` that a release has not what it takes for, each with the reason.
pub(super) fn of(release: Release, program: &str) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for entry in UNSUPPORTED {
        if entry.program == program && release.otp < entry.since {
            found.extend(entry.tests.iter().map(|test| (*test, entry.reason)));
        }
    }
    found
}
