//! `telectl lint` and `telectl explain` as they are called.

use serde_json::Value;
use telectl::lint::{RULES, zero_trust};
use telectl::model::exit::ExitCode;
use telectl::validate::CATALOGUE;

use crate::render_command::{folder, telectl, text};

#[test]
fn r39_exit_codes_tell_clean_findings_and_unusable_input_apart() {
    let folder = folder();
    let code = |arguments: &[&str]| {
        let output = telectl(folder.path(), &[], arguments);
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (clean, said, _) = code(&["lint"]);
    assert_eq!((clean, said.as_str()), (Some(0), "0 errors, 0 warnings\n"));
    let wrong = ["lint", "edge", "--set", "externalRedis.tls.enabled=false"];
    let (found, said, _) = code(&wrong);
    assert_eq!(found, Some(4));
    assert!(
        said.contains("TEL-LNT-030") && said.contains("1 error, 0 warnings"),
        "{said}"
    );
    let (allowed, said, _) = code(&[&wrong[..], &["--allow", "TEL-LNT-030"]].concat());
    assert_eq!(allowed, Some(0));
    assert!(said.contains("allowed"), "{said}");
    let odd = ["lint", "edge", "--set", "streamer.config.loopMode=true"];
    assert_eq!(code(&odd).0, Some(0));
    assert_eq!(
        code(&[&odd[..], &["--fail-on", "warning"]].concat()).0,
        Some(4)
    );
    std::fs::write(folder.path().join("broken.yaml"), "a: [\n").expect("can be written");
    for unusable in [
        &["lint", "-f", "broken.yaml"][..],
        &["lint", "-f", "missing.yaml"],
        &["lint", "--set", "streamer"],
        &["lint", "no-profile"],
        &["lint", "--allow", "TEL-LNT-999"],
    ] {
        let (code, said, errors) = code(unusable);
        assert_eq!(
            (code, said.as_str()),
            (Some(2), ""),
            "{unusable:?}: {errors}"
        );
    }
}

#[test]
fn r39_the_json_names_rule_place_and_remedy() {
    let folder = folder();
    let values = "postgresql:\n  service:\n    type: NodePort\nstreamer:\n  replicaCont: 1\n";
    std::fs::write(folder.path().join("values.yaml"), values).expect("can be written");
    let arguments = ["lint", "central", "-f", "values.yaml", "-o", "json"];
    let output = telectl(folder.path(), &[], &arguments);
    assert_eq!(output.status.code(), Some(4));
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(
        (&report["schema_version"], &report["ok"]),
        (&1.into(), &false.into())
    );
    let finding = &report["findings"][0];
    assert_eq!(finding["id"], "TEL-LNT-040");
    assert_eq!(finding["subject"], "streamer.replicaCont");
    assert_eq!(
        (&finding["source"], &finding["line"]),
        (&"values.yaml".into(), &5.into())
    );
    assert!(
        finding["remedy"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
}

#[test]
fn r39_every_code_is_explained_and_a_mistyped_one_is_answered_with_the_nearest() {
    let folder = folder();
    let explain = |code: &str| telectl(folder.path(), &[], &["explain", code]);
    let checks = CATALOGUE
        .iter()
        .map(|check| (check.id.to_owned(), check.explanation));
    let rules = RULES.iter().map(|rule| (rule.id.to_owned(), rule.remedy));
    let exits = ExitCode::ALL.map(|exit| (exit.number().to_string(), exit.explanation()));
    let list = telectl(folder.path(), &[], &["explain"]);
    let list = text(&list.stdout);
    for (code, expected) in checks.chain(rules).chain(exits).step_by(7) {
        let output = explain(&code);
        let said = text(&output.stdout);
        assert!(
            output.status.success() && said.contains(expected),
            "{code}: {said}"
        );
        assert!(
            list.lines().any(|line| line.starts_with(&code)),
            "{code}: {list}"
        );
    }
    assert_eq!(explain("tel-lnt-030").stdout, explain("TEL-LNT-030").stdout);
    let mistyped = explain("TEL-LTN-030");
    assert_eq!(mistyped.status.code(), Some(2));
    let said = text(&mistyped.stderr);
    assert!(said.contains("telectl explain TEL-LNT-030"), "{said}");
}

#[test]
fn r42_the_two_modes_are_compared_in_every_aspect() {
    let folder = folder();
    let said = text(&telectl(folder.path(), &[], &["explain", "modes"]).stdout);
    for aspect in [
        "complexity",
        "time to set up",
        "network latency",
        "fault tolerance",
        "scale",
        "cost",
        "maintenance",
        "use case",
    ] {
        assert!(
            said.lines()
                .any(|line| line.starts_with(&format!("| {aspect} "))),
            "{aspect}: {said}"
        );
    }
    for profile in telectl::model::profile::Profile::ALL {
        assert!(
            said.contains(&format!("- `{profile}`")),
            "{profile}: {said}"
        );
    }
}

#[test]
fn ids_of_checks_and_rules_are_unique_well_formed_and_explained() {
    let checks = CATALOGUE.iter().map(|check| check.id);
    let rules = RULES.iter().map(|rule| rule.id);
    let principles = zero_trust::principles().map(|one| one.id);
    let mut ids: Vec<&str> = checks.chain(rules).chain(principles).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "an id is used twice");
    for rule in RULES {
        assert!(
            rule.id.starts_with("TEL-LNT-") && rule.id.len() == 11,
            "{rule}"
        );
        for text in [rule.why, rule.remedy] {
            assert!(text.len() > 20 && text.ends_with('.'), "{rule}: {text}");
        }
    }
}

/// The page of the rules, as it has to be.
fn rules_page() -> String {
    let mut page = String::from(
        "# Rules of lint\n\n\
         What `telectl lint` looks at, without any cluster: the values, and what is made from them. A \
         rule can be broken on purpose by naming it, `--allow ID` or `lint.allow: [ID]` in the values; \
         it is then shown and not counted. Up to 021, the number is that of a defect of the original \
         chart. Where values cannot bring a defect about, the rule says so, and a test proves it.\n",
    );
    for rule in RULES {
        let severity = rule.severity.word();
        page.push_str(&format!(
            "\n## {}: {}\n\n{} ({severity})\n\nRemedy: {}\n",
            rule.id, rule.title, rule.why, rule.remedy
        ));
        if !rule.by_construction.is_empty() {
            page.push_str(&format!("\nBy construction: {}\n", rule.by_construction));
        }
    }
    page
}

#[test]
fn r39_every_rule_is_on_its_page() {
    let found = include_str!("../../../docs/lint.md");
    assert_eq!(
        found,
        rules_page(),
        "docs/lint.md differs from the catalogue"
    );
}

#[test]
fn v19_every_exit_code_is_on_its_page_and_in_the_help() {
    let mut page = String::from("# Exit codes\n");
    for exit in ExitCode::ALL {
        let (number, title) = (exit.number(), exit.meaning());
        page.push_str(&format!(
            "\n## {number}: {title}\n\n{}\n",
            exit.explanation()
        ));
    }
    let found = include_str!("../../../docs/exit-codes.md");
    assert_eq!(found, page, "docs/exit-codes.md differs from the codes");
    let folder = folder();
    // Lines are broken to the width of the terminal.
    let help = text(&telectl(folder.path(), &[], &["--help"]).stdout);
    let words: Vec<&str> = help.split_whitespace().collect();
    let help = words.join(" ");
    for exit in ExitCode::ALL {
        let entry = format!("{} {}", exit.number(), exit.meaning());
        assert!(help.contains(&entry), "{entry}: {help}");
    }
}
