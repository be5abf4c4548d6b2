//! Rules about the sources themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules, each importing only from those before it.
const ORDER: [&str; 18] = [
    "model", "report", "config", "render", "lint", "cluster", "registry", "queue", "store",
    "backup", "probe", "mesh", "deploy", "validate", "status", "migrate", "workers", "cli",
];

/// Most lines of code in a file, tests, comments and blank lines not counted.
const LONGEST_FILE: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    for entry in entries {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// Lines that are code: neither comments nor blank, and above the test module if that stands in the
/// file itself. What else is only for tests (a `mod tests;`, one function) ends nothing: the module
/// goes on below it.
fn code(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let end = lines.iter().enumerate().position(|(at, line)| {
        let is_module = |next: &&str| next.starts_with("mod ") && next.ends_with('{');
        let mut below = lines[at + 1..].iter().map(|line| line.trim());
        let next = below.find(|line| !line.starts_with("#["));
        line.trim() == "#[cfg(test)]" && next.as_ref().is_some_and(is_module)
    });
    lines[..end.unwrap_or(lines.len())]
        .iter()
        .copied()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
        .collect()
}

/// The top-level modules that a text imports: `crate::a::…`, `crate::{a, b::c}`, and `telectl::…`
/// is not used inside the library.
fn imports(text: &str) -> BTreeSet<String> {
    let lines = code(text).join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in lines.match_indices("crate::") {
        let rest = &lines[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => top_level(group),
            None => vec![rest],
        };
        found.extend(names.iter().map(|name| {
            name.trim_start()
                .chars()
                .take_while(|symbol| symbol.is_alphanumeric() || *symbol == '_')
                .collect::<String>()
        }));
    }
    found
}

/// The items of a group up to its closing brace, nested groups left in.
fn top_level(group: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut items = Vec::new();
    let mut start = 0;
    for (at, symbol) in group.char_indices() {
        match symbol {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == module)
}

#[test]
fn modules_import_only_from_those_before_them() {
    let folder = root().join("src");
    let mut wrong = Vec::new();
    for path in sources(&folder) {
        let inside = path.strip_prefix(&folder).expect("it is inside");
        let Some(module) = inside.iter().next().and_then(|name| name.to_str()) else {
            continue;
        };
        let Some(own) = place(module) else {
            assert!(
                matches!(module, "lib.rs" | "main.rs"),
                "src/{module} is in no layer"
            );
            continue;
        };
        for import in imports(&read(&path)) {
            if place(&import).is_some_and(|other| other > own) {
                wrong.push(format!("{} imports {import}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_imports_sees_groups_and_nested_paths() {
    let text =
        "use crate::{cli::x, model::{a, b}};\n// crate::deploy\nfn f() { crate::status::g() }\n";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["cli", "model", "status"]);
}

#[test]
fn the_reader_of_code_ends_at_the_test_module_and_nowhere_before() {
    let text = "use a;\n#[cfg(test)]\nmod tests;\nuse crate::cli::x;\n\
                impl A {\n    #[cfg(test)]\n    fn for_tests() {}\n}\n\
                #[cfg(test)]\n#[path = \"x.rs\"]\nmod more;\nfn g() {}\n\
                #[cfg(test)]\n#[expect(x)]\nmod inline {\n    use crate::deploy::y;\n}\n";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["cli"]);
    assert_eq!(code(text).last(), Some(&"fn g() {}"));
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let mut long = Vec::new();
    for folder in ["src", "tests/it"] {
        for path in sources(&root().join(folder)) {
            let lines = code(&read(&path)).len();
            if lines > LONGEST_FILE {
                long.push(format!("{}: {lines}", path.display()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "more than {LONGEST_FILE} lines of code: {long:#?}"
    );
}

/// A test file that no `mod` line names is compiled by nobody.
#[test]
fn every_test_file_is_named_by_a_module() {
    let folder = root().join("tests/it");
    let mut forgotten = Vec::new();
    for path in sources(&folder) {
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("it has a name");
        let parent = path.parent().expect("it is in a folder");
        let (owner, module) = match name {
            "main" => continue,
            "mod" => {
                let folder = parent.file_name().and_then(|name| name.to_str());
                (
                    parent.parent().expect("it is inside"),
                    folder.expect("it has a name"),
                )
            }
            name => (parent, name),
        };
        let file = if owner == folder {
            owner.join("main.rs")
        } else {
            owner.join("mod.rs")
        };
        let text = read(&file);
        let named = text.lines().any(|line| {
            let line = line.trim();
            let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
            line.strip_prefix("mod ")
                .and_then(|line| line.strip_suffix(';'))
                == Some(module)
        });
        if !named {
            forgotten.push(path.display().to_string());
        }
    }
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}
