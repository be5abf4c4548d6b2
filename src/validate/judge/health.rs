//! What the workers say about themselves.

use serde_json::Value;

use crate::probe::Cause;
use crate::validate::check;
use crate::validate::finding::Finding;
use crate::validate::observe::{Answer, AnsweredBy, Asked, SiteFacts};
use crate::validate::remedy;

use super::faults;

pub(super) fn workers(site: &SiteFacts) -> Vec<Finding> {
    site.health
        .iter()
        .map(|asked| worker(site, asked))
        .collect()
}

fn worker(site: &SiteFacts, asked: &Asked) -> Finding {
    let subject = format!("pod/{}", asked.pod);
    let finding = Finding::new(&check::HEALTH, &site.context, subject);
    let Some(answer) = asked.answers.first() else {
        return finding.skipped("it was not asked");
    };
    let finding = finding.timed(Some(&asked.address), answer.latency_ms);
    if answer.by == AnsweredBy::ApiServer {
        return not_passed_on(site, finding, answer);
    }
    let body: Option<Value> = serde_json::from_str(&answer.body).ok();
    let said = body.as_ref().and_then(|body| body["status"].as_str());
    if answer.code == Some(200) && matches!(said, Some("healthy" | "ok")) {
        return finding.seen("healthy");
    }
    let seen = match answer.code {
        None => format!("no answer to {}: {}", answer.path, answer.body),
        Some(code) => format!(
            "HTTP {code}, status {}{}",
            said.unwrap_or("unknown"),
            complaints(body.as_ref())
        ),
    };
    let finding = finding.seen(seen);
    if let Some((fault, cause)) = faults(site, asked.component).first() {
        return finding.skipped(format!("{} has found why: {cause}", fault.id));
    }
    finding
        .failed(Some(Cause::Unhealthy), "HTTP 200 and status healthy")
        .remedy(remedy::unhealthy(site, asked))
}

/// Nothing is known about the pod: this user may not ask it.
fn not_passed_on(site: &SiteFacts, finding: Finding, answer: &Answer) -> Finding {
    finding
        .seen(&answer.body)
        .warning("leave to ask pods through the API server")
        .remedy(remedy::give_leave_to_ask(site))
}

/// The dependencies that the worker says are not well.
fn complaints(body: Option<&Value>) -> String {
    let dependencies = body.and_then(|body| body["dependencies"].as_object());
    let broken: Vec<String> = dependencies
        .into_iter()
        .flatten()
        .filter(|(_, state)| state["ok"] == false)
        .map(|(name, state)| {
            let detail = state["detail"].as_str().unwrap_or_default();
            format!("{name}: {detail}")
        })
        .collect();
    if broken.is_empty() {
        String::new()
    } else {
        format!(" ({})", broken.join("; "))
    }
}

pub(super) fn gateway(site: &SiteFacts) -> Vec<Finding> {
    let Some(asked) = &site.gateway else {
        return Vec::new();
    };
    asked
        .answers
        .iter()
        .map(|answer| endpoint(site, asked, answer))
        .collect()
}

fn endpoint(site: &SiteFacts, asked: &Asked, answer: &Answer) -> Finding {
    let finding = Finding::new(&check::GATEWAY_API, &site.context, &answer.path)
        .timed(Some(&asked.address), answer.latency_ms);
    if answer.by == AnsweredBy::ApiServer {
        return not_passed_on(site, finding, answer);
    }
    let readable = serde_json::from_str::<Value>(&answer.body).is_ok();
    match answer.code {
        Some(200) if readable => return finding.seen("HTTP 200 with JSON"),
        Some(401) => return finding.seen("HTTP 401: it answers and asks for a token"),
        _ => {}
    }
    let excerpt: String = answer.body.chars().take(160).collect();
    let finding = finding.seen(match answer.code {
        Some(code) => format!("HTTP {code} from pod {}: {excerpt}", asked.pod),
        None => format!("no answer from pod {}: {excerpt}", asked.pod),
    });
    if let Some((fault, cause)) = faults(site, asked.component).first() {
        return finding.skipped(format!("{} has found why: {cause}", fault.id));
    }
    finding
        .failed(Some(Cause::Unhealthy), "HTTP 200 with JSON")
        .remedy(remedy::unhealthy(site, asked))
}
