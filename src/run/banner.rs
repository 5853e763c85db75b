//! What is served, from which policies, where: said once, at the start.

use std::io::IsTerminal as _;
use std::io::Write as _;

use super::Server;

/// Shows the banner: drawn on a terminal, as one log line elsewhere.
pub fn show(server: &Server) {
    if std::io::stderr().is_terminal() {
        // A banner that cannot be written is no reason to stop.
        anstream::stderr().write_all(drawn(server).as_bytes()).ok();
    } else {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            policies = policies(server),
            grpc = server.grpc.join(", "),
            http = server.http.map(|http| http.to_string()).unwrap_or_default(),
            "serving"
        );
    }
}

fn policies(server: &Server) -> String {
    let path = server.config.policies.path.display();
    match server.pdp.state().load_full() {
        None => format!("{path}: refused, waiting for better ones"),
        Some(active) => format!(
            "{path}: {} policies, {} templates, {} links, {} entities, revision {}",
            active.snapshot().rules().len(),
            active.snapshot().templates().count(),
            active.view.links().len(),
            active.view.len(),
            active.snapshot().digest().short(),
        ),
    }
}

fn drawn(server: &Server) -> String {
    use anstyle::AnsiColor::Green;
    use anstyle::Style;
    use std::fmt::Write as _;
    let name = Style::new().bold().fg_color(Some(Green.into()));
    let dim = Style::new().dimmed();
    let mut text = format!("\n  {name}deodar{name:#} {}\n\n", env!("CARGO_PKG_VERSION"));
    let mut row = |label: &str, value: &str| {
        writeln!(text, "  {dim}{label:<9}{dim:#} {value}").ok();
    };
    row("policies", &policies(server));
    for place in &server.grpc {
        row("grpc", place);
    }
    if let Some(http) = server.http {
        row("http", &format!("http://{http}/readyz  /livez  /metrics"));
    }
    let watch = if server.config.policies.watch {
        "on: edits take effect as they are saved"
    } else {
        "off"
    };
    row("watch", watch);
    text.push('\n');
    text
}
