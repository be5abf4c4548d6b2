//! The manifests of every profile, as reviewed; `INSTA_UPDATE=always` writes them anew.

use telectl::model::manifest::RenderedSet;
use telectl::model::profile::Profile;

use crate::render_support::{lab, preview};

fn check(name: &str, set: &RenderedSet) {
    let mut text = String::new();
    for manifest in &set.manifests {
        text.push_str("---\n");
        text.push_str(&serde_yaml::to_string(&manifest.value).expect("it is YAML"));
    }
    text.push_str("--- # Secrets that must exist\n");
    for need in &set.secrets {
        for key in &need.keys {
            text.push_str(&format!("# {} {}: {:?}\n", need.name, key.key, key.content));
        }
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn profiles_render_as_reviewed() {
    for profile in Profile::ALL {
        check(profile.name(), &preview(profile, &["image.tag=test"]));
    }
}

#[test]
fn profiles_with_the_lab_overlay_render_as_reviewed() {
    for profile in [Profile::Edge, Profile::Central, Profile::Shared] {
        check(&format!("{profile}-lab"), &lab(profile));
    }
}
