//! The catalogue of checks and its page.

use telectl::validate::CATALOGUE;

/// The page as it has to be.
fn page() -> String {
    let mut page = String::from(
        "# Checks\n\n\
         What `telectl validate` looks at. Every finding names its check, the position from which \
         it was looked (`telectl` through the API server, or a pod's position such as \
         `edge/streamer`), the address, the time it took and what to do.\n",
    );
    for check in CATALOGUE {
        page.push_str(&format!(
            "\n## {}: {}\n\n{}\n",
            check.id, check.title, check.explanation
        ));
    }
    page.push_str(
        "\n# Before a deployment\n\n\
         What `telectl plan`, `deploy` and `deploy-all` look at before anything is planned, in all \
         clusters at once. Warnings stand in the plan. Errors end the run with exit code 1 before \
         anything is written, all of them together; `--skip-preflight ID` lets one check's errors \
         through.\n",
    );
    for check in telectl::deploy::preflight::catalogue::CATALOGUE {
        page.push_str(&format!(
            "\n## {}: {}\n\n{}\n",
            check.id, check.title, check.explanation
        ));
    }
    page
}

#[test]
fn v19_every_check_is_on_its_page() {
    let found = include_str!("../../docs/checks.md");
    assert_eq!(found, page(), "docs/checks.md differs from the catalogue");
}
