//! The templates, embedded.

macro_rules! templates {
    ($($name:literal => $file:literal,)*) => {
        /// Every template and partial, by name.
        pub(super) const ALL: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../templates/", $file)))),*];
    };
}

templates! {
    "metadata" => "metadata.partial.hbs",
    "pod-metadata" => "pod-metadata.partial.hbs",
    "pod" => "pod.partial.hbs",
    "container" => "container.partial.hbs",
    "worker-probes" => "worker-probes.partial.hbs",
    "worker-env" => "worker-env.partial.hbs",
    "worker-tls-mount" => "worker-tls-mount.partial.hbs",
    "worker-tls-volume" => "worker-tls-volume.partial.hbs",
    "etcd-env" => "etcd-env.partial.hbs",
    "redis-env" => "redis-env.partial.hbs",
    "database-env" => "database-env.partial.hbs",
    "streamer.statefulset.yaml" => "streamer.statefulset.yaml.hbs",
    "collector.deployment.yaml" => "collector.deployment.yaml.hbs",
    "api-gateway.deployment.yaml" => "api-gateway.deployment.yaml.hbs",
    "redis.statefulset.yaml" => "redis.statefulset.yaml.hbs",
    "redis-server-env" => "redis-server-env.partial.hbs",
    "redis-cluster.sh" => "redis-cluster.sh.hbs",
    "redis-node.service.yaml" => "redis-node.service.yaml.hbs",
    "redis.conf" => "redis.conf.hbs",
    "postgresql.statefulset.yaml" => "postgresql.statefulset.yaml.hbs",
    "postgresql.conf" => "postgresql.conf.hbs",
    "pg_hba.conf" => "pg_hba.conf.hbs",
    "postgresql-password.sh" => "postgresql-password.sh.hbs",
    "postgresql-env" => "postgresql-env.partial.hbs",
    "etcd.statefulset.yaml" => "etcd.statefulset.yaml.hbs",
    "configmap.yaml" => "configmap.yaml.hbs",
    "service.yaml" => "service.yaml.hbs",
    "serviceaccount.yaml" => "serviceaccount.yaml.hbs",
    "horizontalpodautoscaler.yaml" => "horizontalpodautoscaler.yaml.hbs",
    "poddisruptionbudget.yaml" => "poddisruptionbudget.yaml.hbs",
    "networkpolicy.yaml" => "networkpolicy.yaml.hbs",
    "ingress.yaml" => "ingress.yaml.hbs",
    "servicemonitor.yaml" => "servicemonitor.yaml.hbs",
    "externalname.yaml" => "externalname.yaml.hbs",
    "persistentvolumeclaim.yaml" => "persistentvolumeclaim.yaml.hbs",
    "backup.cronjob.yaml" => "backup.cronjob.yaml.hbs",
    "backup-dump" => "backup-dump.partial.hbs",
    "backup.sh" => "backup.sh.hbs",
    "default-deny.yaml" => "default-deny.yaml.hbs",
    "resourcequota.yaml" => "resourcequota.yaml.hbs",
}
