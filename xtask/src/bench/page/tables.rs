//! The tables behind the budgets.

use std::fmt::Write as _;

use super::budgets::of;
use super::budgets::ratio;
use super::budgets::short;
use crate::bench::decide::Decides;
use crate::bench::decide::Instructions;
use crate::bench::load::Measured;
use crate::bench::reload::Reloads;
use crate::bench::results::median;
use crate::bench::server::Answers;
use crate::bench::server::Rounds;
use crate::bench::server::Turn;

/// The servers, side by side.
pub(super) fn server(rounds: &Rounds) -> String {
    let Answers {
        bytes,
        cached_percent,
    } = rounds.answers;
    let mut text = format!(
        "\n## Over gRPC\n\nThe mix is eight questions about the reference policies: half allowed, half denied, most with a session \
         of five values; an answer has {bytes} bytes on average. Of the server with a cache, {cached_percent:.2} % of the decisions came from it. Times are of the load generator's closed loop, on the \
         cores that the server uses too. Medians of {} rounds.\n\n\
         | what | server | CPU us a call | against the echo | calls a second | p50 us | p99 us | p99.9 us |\n\
         |---|---|---|---|---|---|---|---|\n",
        rounds.unary.len(),
    );
    let kinds: [(&str, &[Turn]); 4] = [
        ("Authorize, 4 connections with 8 calls each", &rounds.unary),
        (
            "Authorize, one connection, one call at a time",
            &rounds.single,
        ),
        (
            "BatchAuthorize of 100, 2 connections with 2 calls each",
            &rounds.batch,
        ),
        (
            "StreamAuthorize, 2 streams with 256 under way each; a call is a decision",
            &rounds.stream,
        ),
    ];
    for (what, turns) in kinds {
        row(&mut text, (what, "echo"), turns, |turn| turn.echo);
        row(&mut text, ("", "Deodar, cached"), turns, |turn| turn.cached);
        row(
            &mut text,
            ("", "Deodar, cached, no audit log"),
            turns,
            |turn| turn.unrecorded,
        );
        row(&mut text, ("", "Deodar, not cached"), turns, |turn| {
            turn.uncached
        });
    }
    text
}

fn row(
    text: &mut String,
    (what, server): (&str, &str),
    turns: &[Turn],
    of: impl Fn(&Turn) -> Measured,
) {
    let middle =
        |value: fn(Measured) -> f64| short(median(turns.iter().map(|turn| value(of(turn)))));
    let against = if server == "echo" {
        String::new()
    } else {
        format!("{} x", short(ratio(turns, &of)))
    };
    writeln!(
        text,
        "| {what} | {server} | {} | {against} | {} | {} | {} | {} |",
        middle(|measured| measured.cpu_us),
        middle(|measured| measured.calls_per_second),
        middle(|measured| measured.p50_us as f64),
        middle(|measured| measured.p99_us as f64),
        middle(|measured| measured.p999_us as f64),
    )
    .ok();
}

/// Decisions in process.
pub(super) fn decide(decide: &Decides) -> String {
    let mut text = String::from(
        "\n## In process\n\nMicroseconds a decision, 1,024 different questions in turn, more of them denied than allowed. Policies are spread over \
         people, devices, teams, sites, types and links of a template; users and devices grow with them (2,500 \
         entities at least).\n\n| policies | Deodar, median | fastest | 16 questions only, median | Cedar's `Authorizer`, median | |\n|---|---|---|---|---|---|\n",
    );
    for line in decide.lines.iter().filter(|line| line.name == "deodar") {
        let (authorizer, times) = match of(decide, "cedar_authorizer", &line.argument) {
            Some(time) => (short(time), format!("{} x", short(time / line.median_us))),
            None => Default::default(),
        };
        let (median, fastest) = (short(line.median_us), short(line.fastest_us));
        let warm = of(decide, "deodar_16_questions", &line.argument)
            .map(short)
            .unwrap_or_default();
        writeln!(
            text,
            "| {} | {median} | {fastest} | {warm} | {authorizer} | {times} |",
            line.argument
        )
        .ok();
    }
    text.push_str("\n| other | policies | median us | fastest us |\n|---|---|---|---|\n");
    for line in &decide.lines {
        let what = match line.name.as_str() {
            "deodar_one_team" => "a decision; all policies name one team, each a device of its own",
            "deodar_grid_300_by_300" => {
                "a decision; one policy for each of 300 teams on each of 300 sites, 90,000 in all"
            }
            "deodar_with_carried_entity" => {
                "a decision; the request carries one entity, 10,000 policies"
            }
            "query_with_6_context_keys" => {
                "checking a question against the schema, six context keys"
            }
            "explain_10_000" => "explaining a decision, 10,000 policies",
            "compile_policies" => "compiling and validating",
            _ => continue,
        };
        let (median, fastest) = (short(line.median_us), short(line.fastest_us));
        writeln!(
            text,
            "| {what} | {} | {median} | {fastest} |",
            line.argument
        )
        .ok();
    }
    text
}

/// Instruction counts.
pub(super) fn instructions(instructions: &Instructions) -> String {
    let mut text = String::from(
        "\n## Instructions\n\nCounted by valgrind, so the same on a busy machine. `decide_64` is 64 decisions of \
         different questions. `wire_to_wire` is everything between the bytes of a \
         question and the bytes of its answer but the transport.\n\n| what | instructions |\n|---|---|\n",
    );
    for (name, count) in &instructions.counts {
        writeln!(text, "| `{name}` | {count} |").ok();
    }
    text
}

/// Reloading under load.
pub(super) fn reload(reload: &Reloads) -> String {
    let times: Vec<String> = reload
        .seconds
        .iter()
        .map(|seconds| short(*seconds))
        .collect();
    format!(
        "\n## Reloading under load\n\n10,000 policies beside the reference policies, all of them changed in one file while four callers ask and check \
         every answer. From saving the file to seeing it in force, 200 ms of waiting for further changes \
         included: {} s. {} calls in all, {} of them while reloading, {} failed or wrong. p99 {} us before, {} us \
         while reloading. Resident memory afterwards {} MiB.\n",
        times.join(", "),
        reload.calls,
        reload.calls_while_reloading,
        reload.failed_or_wrong,
        reload.p99_quiet_us,
        reload.p99_reloading_us,
        short(reload.rss_mib),
    )
}
