//! Images: whether what a node would be told to pull can be the name of one.

use super::Broken;
use crate::config::values::Values;

/// Longest tag that registries take.
const LONGEST_TAG: usize = 128;

pub(super) fn check(values: &Values, broken: &mut Vec<Broken>) {
    let worker = [
        ("streamer.image", &values.streamer.image),
        ("collector.image", &values.collector.image),
        ("apiGateway.image", &values.api_gateway.image),
    ];
    let common = &values.image;
    let registries = [
        ("global.imageRegistry", &values.global.image_registry),
        ("image.registry", &common.registry),
    ];
    let registries = registries.map(|(key, text)| (key.to_owned(), text));
    let names = [("image.repository".to_owned(), &common.repository)];
    let own_names = worker.map(|(key, own)| (format!("{key}.repository"), &own.repository));
    let tags = [("image.tag".to_owned(), &common.tag)];
    let own_tags = worker.map(|(key, own)| (format!("{key}.tag"), &own.tag));
    let whole = [
        ("redis.image", &values.redis.image),
        ("etcd.image", &values.etcd.image),
        ("postgresql.image", &values.postgresql.image),
        ("backup.image", &values.backup.image),
        (
            "backup.storage.uploadImage",
            &values.backup.storage.upload_image,
        ),
    ];
    let whole = whole.map(|(key, text)| (key.to_owned(), text));
    refuse(registries.into_iter(), is_prefix, "registry", broken);
    refuse(names.into_iter().chain(own_names), is_name, "name", broken);
    refuse(tags.into_iter().chain(own_tags), is_tag, "tag", broken);
    refuse(whole.into_iter(), is_reference, "name and tag", broken);
}

/// What is empty stands for something else.
fn refuse<'a>(
    texts: impl Iterator<Item = (String, &'a String)>,
    is_sound: fn(&str) -> bool,
    what: &str,
    broken: &mut Vec<Broken>,
) {
    for (key, text) in texts.filter(|(_, text)| !text.is_empty() && !is_sound(text)) {
        broken.push((key, format!("is `{text}`, which is no {what} of an image")));
    }
}

/// `registry:5000/path/name`; only a registry has a port, and only with a name after it.
fn is_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((first, rest)) => is_registry(first) && rest.split('/').all(is_word),
        None => is_word(text),
    }
}

/// Letters, digits and `.`, `_`, `-`, beginning with one of the first two.
fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && has_only(text, b"._-")
}

/// Whether a text has only letters, digits and these.
fn has_only(text: &str, others: &[u8]) -> bool {
    text.bytes()
        .all(|symbol| symbol.is_ascii_alphanumeric() || others.contains(&symbol))
}

/// What stands before and after the first of this symbol; all of it before where there is none.
fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// What may stand before a name: a registry, or one with a path.
fn is_prefix(text: &str) -> bool {
    is_registry(text) || is_name(text)
}

/// `registry.example`, `registry:5000` or `[fd00::1]:5000`; also the first part of a path.
fn is_registry(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port = port.strip_prefix(':');
        return address.parse::<std::net::Ipv6Addr>().is_ok() && port.is_none_or(is_port);
    }
    let (host, port) = cut(text, ':');
    is_word(host) && port.is_none_or(is_port)
}

/// `1.2`, or `1.2@sha256:…`.
fn is_tag(text: &str) -> bool {
    let (tag, digest) = cut(text, '@');
    !tag.is_empty()
        && tag.len() <= LONGEST_TAG
        && !tag.starts_with(['.', '-'])
        && has_only(tag, b"._-")
        && digest.is_none_or(is_digest)
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hash)) = text.split_once(':') else {
        return false;
    };
    has_only(algorithm, b"+._-")
        && hash.len() >= 32
        && hash.bytes().all(|symbol| symbol.is_ascii_hexdigit())
}

/// `name`, `name:tag` or either with `@sha256:…`.
fn is_reference(text: &str) -> bool {
    let (rest, digest) = cut(text, '@');
    // A colon before the last `/` is that of a port.
    let name = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[name..].split_once(':') {
        Some((last, tag)) => (&rest[..name + last.len()], Some(tag)),
        None => (rest, None),
    };
    is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_pulled_is_told_from_what_cannot() {
        let hash = "ab".repeat(32);
        for sound in [
            "redis",
            "redis:7.2",
            "localhost:5000/team/redis:7",
            &format!("redis@sha256:{hash}"),
            &format!("registry.example/redis:7@sha256:{hash}"),
        ] {
            assert!(is_reference(sound), "{sound}");
        }
        for wrong in [
            "redis 7",
            "redis:",
            ":7",
            "a//b",
            "redis:7 2",
            "redis@sha256:ab",
            "redis:a:b",
        ] {
            assert!(!is_reference(wrong), "{wrong}");
        }
        assert!(is_tag(&format!("1@sha256:{hash}")));
        for wrong in ["foo bar", "-a", &"a".repeat(129), "1@2", "@"] {
            assert!(!is_tag(wrong), "{wrong}");
        }
        for sound in ["localhost:5000/a", "[fd00::1]:5000/team/a", "a/b_c/d"] {
            assert!(is_name(sound), "{sound}");
        }
        for wrong in [
            "http://a",
            "a b",
            "/a",
            "a/",
            "team/a:1.2",
            "a:1",
            "[fd00/a",
        ] {
            assert!(!is_name(wrong), "{wrong}");
        }
        assert!(is_tag(&format!("1@sha512:{}", "ab".repeat(64))));
    }
}
