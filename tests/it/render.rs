//! Rendering of the profiles.

use telectl::config::{self, Layers};
use telectl::model::profile::Profile;
use telectl::render;

#[test]
fn every_profile_renders_with_placeholders() {
    for profile in Profile::ALL {
        let resolved = config::resolve(profile, &Layers::default()).unwrap();
        let set = render::preview(&resolved).unwrap();
        assert!(!set.manifests.is_empty());
        for manifest in &set.manifests {
            println!("---\n{}", serde_yaml::to_string(&manifest.value).unwrap());
        }
        println!("{:#?}", set.secrets);
    }
}
