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
    page
}

#[test]
fn v19_every_check_is_on_its_page() {
    let found = include_str!("../../docs/checks.md");
    assert_eq!(found, page(), "docs/checks.md differs from the catalogue");
}
