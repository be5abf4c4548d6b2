//! The catalogue of rules: what each is about, why, and what to do.

use std::fmt;

/// How bad it is to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and is probably not meant.
    Warning,
    /// It does not work, or is not safe.
    Error,
}

impl Severity {
    /// The severity as it stands in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One rule of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Never changes and is never used again. Up to 021, the number is that of a defect of the
    /// original chart.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What holds where the rule is kept, in a few words.
    pub title: &'static str,
    /// What goes wrong otherwise.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Why values cannot bring it about, where that is so; empty where they can.
    pub by_construction: &'static str,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id)
    }
}

macro_rules! rules {
    ($(
        $(#[$doc:meta])* $name:ident = $id:literal, $severity:ident, $title:literal {
            why: $why:literal,
            remedy: $remedy:literal,
            $(by_construction: $construction:literal,)?
        }
    )*) => {
        $($(#[$doc])* pub static $name: Rule = Rule {
            id: $id,
            severity: Severity::$severity,
            title: $title,
            why: $why,
            remedy: $remedy,
            by_construction: concat!($($construction)?),
        };)*

        /// Every rule, in the order of the ids.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    /// A streamer finds its source.
    SOURCE = "TEL-LNT-001", Error, "the streamer's source is in a place that its pod has" {
        why: "A file outside the image and outside every volume is not there when the streamer \
              starts. The original chart put its download into a place of the pod that Kubernetes \
              drops, so the file never came.",
        remedy: "Name a file of the image (/data), or choose streamer.config.csvSource.type \
                 configmap or pvc and the path in its volume.",
    }
    /// Workers have a queue.
    QUEUE_EXISTS = "TEL-LNT-002", Error, "what workers are told to reach is deployed or given" {
        why: "With neither a Redis of its own nor an address of another one, or with the name of a \
              Service that nobody makes, no worker ever connects. The original chart's same-cluster \
              profile named a Redis that it did not deploy.",
        remedy: "Set redis.enabled to true, or give externalRedis.enabled and externalRedis.host.",
    }
    /// The login reaches the client.
    LOGIN = "TEL-LNT-003", Error, "user, password and authority reach the client of Redis" {
        why: "A user without a password, or an authority without TLS, is never used, and the \
              workers fail at the login. The original chart set variables that its workers never \
              read.",
        remedy: "Set externalRedis.auth.enabled and externalRedis.tls.enabled to what the server \
                 asks for.",
    }
    /// Every Secret has a maker and every given password a use.
    SECRETS = "TEL-LNT-004", Error, "every Secret that a pod needs is listed, every given password used" {
        why: "A pod whose Secret does not exist never starts, and a password that nothing reads \
              leaves the servers with another one. The original chart ignored the password it was \
              given and asked for a Secret that nobody made.",
        remedy: "Switch the login on (auth.enabled) where a password is given, or do not give one.",
    }
    /// The database's address is the database's Service.
    DATABASE_ADDRESS = "TEL-LNT-005", Error, "the database's address is the one that workers use" {
        why: "An address that is given beside a database of telectl's own has no effect, and a \
              Service of another name is not found. The original chart named a Service that its \
              database did not have.",
        remedy: "Set postgresql.enabled to false to use externalDatabase, or take its host away.",
    }
    /// Every variable is one that a worker reads.
    VARIABLES_READ = "TEL-LNT-006", Error, "every variable of a worker is one that it reads" {
        why: "A variable under another name is ignored without a word. The original chart said \
              DB_SSL_MODE to a program that read DB_SSLMODE, and so never used TLS.",
        remedy: "Use a name that the workers read; with telectl's own templates, this is its mistake.",
        by_construction: "Values cannot name variables; templates and workers share one list.",
    }
    /// The database can load what it is told to.
    PRELOADED = "TEL-LNT-007", Error, "the database's image has the libraries that it has to load" {
        why: "PostgreSQL refuses to start when shared_preload_libraries names a library that the \
              image lacks. The official image has only what comes with PostgreSQL itself.",
        remedy: "Take the library out of postgresql.primary.extendedConfiguration, or name an image \
                 that has it in postgresql.image.",
    }
    /// One image for all workers.
    ONE_IMAGE = "TEL-LNT-008", Error, "all workers run one image, with a tag, from the common registry" {
        why: "All workers are one program. Another name or tag for one of them is another version \
              of the formats between them, or no telectl at all; `latest` is whatever a node has. \
              In the original chart the registry override reached no component.",
        remedy: "Set image.registry, image.repository and image.tag, and leave the workers' own \
                 image settings empty.",
    }
    /// The Ingress controller knows the annotations.
    INGRESS_ANNOTATIONS = "TEL-LNT-009", Error, "annotations of the Ingress are ones that ingress-nginx knows" {
        why: "ingress-nginx ignores an annotation that it does not know, so the limit it names does \
              not exist; and rewrite-target `/` without a captured group turns every path into `/`.",
        remedy: "Use limit-rps, limit-rpm or limit-connections for limits, and no rewrite-target.",
    }
    /// What is scraped is there.
    SCRAPED_PORT = "TEL-LNT-010", Error, "what Prometheus is told to scrape is a port that is there" {
        why: "A ServiceMonitor or a prometheus.io/port annotation for a port that no container has \
              is a target that is always down, and an alert that nobody believes.",
        remedy: "Name the port http of the workers' Services, or the number that the container \
                 listens on.",
    }
    /// Counts and autoscalers agree.
    AUTOSCALER = "TEL-LNT-011", Error, "an autoscaler can measure what it aims at and counts agree with it" {
        why: "A percentage of a request that is not set is never known, so the autoscaler does \
              nothing; one count for all workers scales the wrong ones; and a fixed count is \
              overruled. The original chart reset the count with every upgrade.",
        remedy: "Set resources.requests for what the autoscaler measures, and choose its bounds \
                 instead of replicaCount.",
    }
    /// A row is stored once.
    REPEATED = "TEL-LNT-012", Warning, "a source is streamed once" {
        why: "In loop mode every round counts as new data, so the store grows without end. The \
              original multiplied its input by the number of streamers as well; telectl's share a \
              source between them.",
        remedy: "Set streamer.config.loopMode to false unless endless sample data is wanted.",
    }
    /// A drain is possible.
    DRAIN = "TEL-LNT-013", Error, "a disruption budget leaves room for a drain" {
        why: "A budget that keeps every pod blocks the drain of a node, and with it the upgrade of \
              the cluster, for ever.",
        remedy: "Lower podDisruptionBudget.minAvailable below the fewest replicas, or raise those.",
    }
    /// The quota holds what may be asked for.
    QUOTA = "TEL-LNT-014", Error, "the quota holds what the autoscalers may ask for" {
        why: "Pods beyond a quota are not made: an autoscaler or an update stops half-way, and only \
              an event says why. With a quota on a resource, a container that does not set it is \
              refused as well.",
        remedy: "Raise resourceQuota.hard, lower autoscaling.maxReplicas, or set the resource.",
    }
    /// The policies leave the flows open.
    BLOCKED_FLOW = "TEL-LNT-015", Error, "network policies leave every flow of a worker open" {
        why: "A worker whose way to DNS, Redis, PostgreSQL or etcd is closed waits for ever. The \
              original chart's policies closed etcd and the download of the source.",
        remedy: "Add the port to networkPolicy.egress.",
        by_construction: "The rules of a worker are made from the addresses that it is told; values \
                          only add rules.",
    }
    /// No secret is written out.
    INLINE_SECRET = "TEL-LNT-016", Error, "no secret stands in values or manifests" {
        why: "What stands in a values file ends in version control, and what stands in a manifest \
              in etcd and in every backup, readable for everybody who may read objects.",
        remedy: "Refer to it: a Secret that exists, \"${NAME}\" for an environment variable, or a \
                 flag with env:NAME or file:PATH.",
    }
    /// No policy closes everything.
    DEAD_POLICY = "TEL-LNT-017", Error, "no network policy shuts a worker in or points backwards" {
        why: "A policy of type Egress without a rule closes everything, and one that lets the \
              servers in is backwards: Redis, PostgreSQL and etcd call nobody.",
        remedy: "Take the rule out of networkPolicy, or turn it round.",
    }
    /// Several nodes of Redis are a cluster.
    REDIS_NODES = "TEL-LNT-018", Error, "nodes of Redis form a cluster whose clients reach each of them" {
        why: "Several nodes without cluster mode are several queues; one load balancer in front of \
              a cluster answers with redirections that lead nowhere; and client certificates that \
              the server asks for are ones that the workers do not have.",
        remedy: "Deploy one node, or give each node an address: redis.cluster.nodeService.",
    }
    /// The certificate can match.
    SERVER_NAME = "TEL-LNT-019", Error, "the host of a server is a host and nothing else" {
        why: "A host with a port, a scheme or a path in it is a name that no certificate carries, \
              so every TLS handshake fails; without TLS it is a name that does not exist.",
        remedy: "Give the bare name or address in host and the number in port.",
    }
    /// Labels are labels.
    ANNOTATION_AS_LABEL = "TEL-LNT-020", Error, "annotations do not stand among the labels" {
        why: "A load balancer or a controller reads annotations only; as a label the setting does \
              nothing, and often has a value that no label may have.",
        remedy: "Move it to service.annotations, podAnnotations or commonAnnotations.",
    }
    /// Common labels and annotations are everywhere.
    COMMON_METADATA = "TEL-LNT-021", Error, "common labels and annotations are on every object" {
        why: "Who selects by a common label misses the objects without it. Labels that telectl \
              selects by are its own: giving them another value has no effect.",
        remedy: "Choose another name than those of app.kubernetes.io and telectl.io.",
    }
    /// Nothing goes between clusters unencrypted.
    PLAINTEXT = "TEL-LNT-030", Error, "what crosses clusters is encrypted" {
        why: "Between clusters, samples, passwords and registrations go over networks that others \
              read. Without TLS they are there for everybody on the way, and so are the logins.",
        remedy: "Switch TLS on: externalRedis.tls.enabled, https:// in etcd.endpoints, \
                 externalDatabase.sslMode verify-full, tls.enabled of a server that others reach. \
                 If it has to be, allow it by name: `lint.allow: [TEL-LNT-030]`.",
    }
    /// Names of a cluster stay inside it.
    LOCAL_NAME = "TEL-LNT-031", Error, "no name of one cluster is used in another" {
        why: "A name such as redis.shared-infrastructure.svc is known to the DNS of its own cluster \
              only. In another one it does not resolve, or leads to something else.",
        remedy: "Use the address of the load balancer, a node or the Ingress; `telectl deploy-all` \
                 finds it out by itself.",
    }
    /// Namespaces are selected by the label that they all have.
    NAMESPACE_LABEL = "TEL-LNT-032", Error, "namespaces are selected by kubernetes.io/metadata.name" {
        why: "Only this label is on every namespace by itself. A selector for `name` matches \
              nothing unless somebody labelled the namespace, and the rule opens nothing.",
        remedy: "Write `matchLabels: {kubernetes.io/metadata.name: NAMESPACE}`.",
    }
    /// The database stays inside.
    PUBLIC_DATABASE = "TEL-LNT-033", Error, "the database is not reachable from outside its cluster" {
        why: "Streamers never talk to the database, so nothing outside its cluster needs it; a \
              load balancer or a node port offers it to everybody who reaches it.",
        remedy: "Set postgresql.service.type to ClusterIP, or annotate the load balancer as internal.",
    }
    /// What is reachable asks who is there.
    OPEN_SERVER = "TEL-LNT-034", Error, "servers that others reach ask for a login" {
        why: "A server that is reachable from outside its cluster and asks for nothing lets \
              everybody read and write the pipeline's data.",
        remedy: "Set redis.auth.enabled, etcd.tls.enabled and apiGateway.config.auth.enabled to true, \
                 or the Service's type to ClusterIP.",
    }
    /// Kubernetes knows every field.
    UNKNOWN_FIELD = "TEL-LNT-035", Error, "every field is one that Kubernetes has, with the right type" {
        why: "A misspelt field is dropped by a lenient server and refused by a strict one; either \
              way it does not do what it says.",
        remedy: "Correct the name or the type; `kubectl explain` knows the fields.",
    }
    /// Labels and annotations are well-formed.
    METADATA_SYNTAX = "TEL-LNT-036", Error, "labels, selectors and annotations have names and values that Kubernetes takes" {
        why: "The API server refuses the whole object for one label with a space in it.",
        remedy: "Use letters, digits, `-`, `_` and `.`, at most 63 of them, beginning and ending \
                 with a letter or digit; put free text into annotations.",
    }
    /// ConfigMaps are small enough.
    CONFIG_MAP_SIZE = "TEL-LNT-037", Error, "a ConfigMap holds at most 1 MiB" {
        why: "The API server refuses larger ones; the sample file alone is larger.",
        remedy: "Put large files into a volume (streamer.config.csvSource.type pvc).",
    }
    /// Requests fit into limits.
    REQUEST_ABOVE_LIMIT = "TEL-LNT-038", Error, "no request is above its limit" {
        why: "The API server refuses a container that asks for more than it may get.",
        remedy: "Raise resources.limits or lower resources.requests.",
    }
    /// Policies open no more than needed.
    OPEN_POLICY = "TEL-LNT-039", Warning, "added network policy rules open something, and not everything" {
        why: "A rule without peers and ports switches the policy off in that direction; one for a \
              port that nothing listens on opens nothing and misleads whoever reads it.",
        remedy: "Name peers and ports, and only ports that the workers or their servers have.",
    }
    /// Every key is known.
    UNKNOWN_KEY = "TEL-LNT-040", Error, "every key of the values is known" {
        why: "A key that nothing reads changes nothing; mostly it is a typing error.",
        remedy: "Use the nearest key that is named; `telectl config view` prints all.",
    }
    /// Every key has an effect.
    WITHOUT_EFFECT = "TEL-LNT-041", Warning, "every key has an effect" {
        why: "Keys of the original chart are accepted so that its files can be used, but some mean \
              nothing here, or are overruled by others.",
        remedy: "Take the key out, or follow the reason that is given.",
    }
    /// Keys have their own names.
    ALIAS = "TEL-LNT-042", Warning, "keys are written under their own names" {
        why: "One of the original documents names the same setting differently. It is understood; \
              two names for one thing are hard to find again.",
        remedy: "Use the name that it is read as.",
    }
    /// Variables are set.
    UNSET_VARIABLE = "TEL-LNT-043", Error, "every variable that values refer to is set" {
        why: "An unset variable would become an empty password or host.",
        remedy: "Export the variable, or write `$${` where the text itself is meant.",
    }
    /// Values are of their type.
    WRONG_VALUE = "TEL-LNT-044", Error, "every value has the right type and is possible" {
        why: "The manifests cannot be made from it.",
        remedy: "Correct the value; docs/configuration.md and profiles/base.yaml say what is meant.",
    }
    /// Variables of ours are known.
    UNKNOWN_VARIABLE = "TEL-LNT-045", Warning, "every TELECTL_ variable is known" {
        why: "A variable that nothing reads changes nothing; mostly it is a typing error.",
        remedy: "Use the nearest name, or unset the variable.",
    }
    /// Settings agree.
    CONTRADICTION = "TEL-LNT-046", Warning, "settings agree with each other" {
        why: "One of them has no effect, or not the one that it seems to have.",
        remedy: "Decide for one of the two.",
    }
    /// Keys stand once.
    TWICE = "TEL-LNT-047", Error, "every key stands once in a file" {
        why: "YAML silently takes the last of them, wherever the reader looked.",
        remedy: "Keep one of the two lines.",
    }
    /// An Ingress speaks TLS to a worker that does.
    INGRESS_BACKEND = "TEL-LNT-048", Warning, "the controller of an Ingress is told when its worker speaks TLS" {
        why: "A controller speaks plain HTTP to the pods unless it is told otherwise, and a port \
              that speaks TLS answers that with nothing but an error.",
        remedy: "Tell it in an annotation of the Ingress or of its Service, such as \
                 nginx.ingress.kubernetes.io/backend-protocol: HTTPS, or let the controller end \
                 the encryption (ingress.tls) and leave the worker's tls off.",
    }
}

/// The rule with this id, in whichever case.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES
        .iter()
        .find(|rule| rule.id.eq_ignore_ascii_case(id))
        .copied()
}
