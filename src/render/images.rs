//! Which image a container runs. A registry of `image` is about the workers only, so it beats the
//! one that is about every image.

use crate::config::values::{ImageOverride, Values};

/// The image of a worker.
pub(super) fn worker(values: &Values, own: &ImageOverride) -> String {
    let image = &values.image;
    let repository = first(&own.repository, &image.repository);
    let registry = first(&image.registry, &values.global.image_registry);
    let name = match registry {
        "" => repository.to_owned(),
        registry => format!("{registry}/{repository}"),
    };
    format!("{name}:{}", worker_tag(values, own))
}

/// The images of what is deployed, each with the key that it stands at.
pub fn effective(values: &Values) -> Vec<(&'static str, String)> {
    let (streamer, collector) = (&values.streamer, &values.collector);
    let gateway = &values.api_gateway;
    let of_workers = [
        ("streamer.image", streamer.enabled, &streamer.image),
        ("collector.image", collector.enabled, &collector.image),
        ("apiGateway.image", gateway.enabled, &gateway.image),
    ];
    let of_servers = [
        ("redis.image", values.deploys_redis(), &values.redis.image),
        ("etcd.image", values.etcd.enabled, &values.etcd.image),
        (
            "postgresql.image",
            values.postgresql.enabled,
            &values.postgresql.image,
        ),
    ];
    let workers = of_workers
        .into_iter()
        .map(|(key, enabled, own)| (key, enabled, worker(values, own)));
    let servers = of_servers
        .into_iter()
        .map(|(key, enabled, image)| (key, enabled, server(values, image)));
    workers
        .chain(servers)
        .filter(|(_, enabled, _)| *enabled)
        .map(|(key, _, image)| (key, image))
        .collect()
}

/// The tag of a worker's image: this telectl's version unless somebody chose one.
pub(super) fn worker_tag<'a>(values: &'a Values, own: &'a ImageOverride) -> &'a str {
    first(
        first(&own.tag, &values.image.tag),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The image of a server, from the common registry if there is one.
pub(super) fn server(values: &Values, image: &str) -> String {
    let registry = &values.global.image_registry;
    if registry.is_empty() {
        return image.to_owned();
    }
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    };
    format!("{registry}/{path}")
}

/// The tag of a server's image.
pub(super) fn server_tag(image: &str) -> &str {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

fn first<'a>(chosen: &'a str, otherwise: &'a str) -> &'a str {
    if chosen.is_empty() { otherwise } else { chosen }
}

#[cfg(test)]
mod tests {
    use super::server_tag;

    #[test]
    fn the_tag_of_an_image_is_not_the_port_of_its_registry() {
        assert_eq!(server_tag("registry:5000/redis"), "latest");
        assert_eq!(server_tag("registry:5000/redis:7@sha256:ab"), "7");
    }
}
