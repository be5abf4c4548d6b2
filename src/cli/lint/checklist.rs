//! How the zero-trust checklist looks.

use serde::Serialize;

use crate::lint::zero_trust::{Principle, principles};
use crate::lint::{Answer, Standing};
use crate::model::profile::Profile;
use crate::report::{Cell, Coloring, Emphasis, Table};

/// Version of the JSON form; fields are only ever added.
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Serialize)]
struct ChecklistView<'a> {
    schema_version: u32,
    answers: Vec<AnswerView<'a>>,
}

#[derive(Debug, Serialize)]
struct AnswerView<'a> {
    id: &'a str,
    title: &'a str,
    profile: &'a str,
    standing: &'a str,
    broken: &'a [String],
    why: &'a str,
    remedy: &'a str,
}

/// The answers as JSON.
pub(super) fn json(answers: &[Answer]) -> String {
    let view = |answer| {
        let Answer {
            principle,
            profile,
            standing,
        }: &Answer = answer;
        AnswerView {
            id: principle.id,
            title: principle.title,
            profile: profile.name(),
            standing: word(standing),
            broken: broken(standing),
            why: principle.why,
            remedy: principle.remedy,
        }
    };
    let view = ChecklistView {
        schema_version: SCHEMA_VERSION,
        answers: answers.iter().map(view).collect(),
    };
    serde_json::to_string_pretty(&view).unwrap_or_default()
}

/// A table with a column for each profile, then where principles are broken and what to do.
pub(super) fn text(answers: &[Answer], coloring: Coloring) -> String {
    let mut profiles: Vec<Profile> = answers.iter().map(|answer| answer.profile).collect();
    profiles.sort_unstable();
    profiles.dedup();
    let mut headings = vec!["PRINCIPLE", "ABOUT"];
    headings.extend(profiles.iter().map(|profile| profile.name()));
    let mut table = Table::new(&headings);
    for principle in principles() {
        let mut row: Vec<Cell> = vec![principle.id.into(), principle.title.into()];
        row.extend(of(principle, answers).map(|answer| cell(&answer.standing)));
        table.row(row);
    }
    let mut text = table.render(coloring);
    for principle in principles() {
        text.push_str(&where_broken(principle, answers));
    }
    text
}

/// The answers to a principle, in the order of the profiles.
fn of<'a>(principle: &Principle, answers: &'a [Answer]) -> impl Iterator<Item = &'a Answer> {
    let is_it = |answer: &&Answer| answer.principle == principle;
    let mut found: Vec<&Answer> = answers.iter().filter(is_it).collect();
    found.sort_by_key(|answer| answer.profile);
    found.into_iter()
}

fn where_broken(principle: &Principle, answers: &[Answer]) -> String {
    let lines: Vec<String> = of(principle, answers)
        .filter(|answer| !broken(&answer.standing).is_empty())
        .map(|answer| {
            let places = broken(&answer.standing).join("; ");
            format!("  {}: {places}\n", answer.profile)
        })
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "\n{}: otherwise {}\n{}  remedy: {}\n",
        principle.id,
        principle.why,
        lines.concat(),
        principle.remedy
    )
}

fn broken(standing: &Standing) -> &[String] {
    match standing {
        Standing::Broken(places) => places,
        Standing::Kept | Standing::NotConcerned => &[],
    }
}

const fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::Kept => "kept",
        Standing::Broken(_) => "broken",
        Standing::NotConcerned => "not_concerned",
    }
}

fn cell(standing: &Standing) -> Cell {
    match standing {
        Standing::Kept => Cell::new("kept", Emphasis::Good),
        Standing::Broken(_) => Cell::new("broken", Emphasis::Warning),
        Standing::NotConcerned => "-".into(),
    }
}
