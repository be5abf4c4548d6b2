//! For every rule, what breaks it.

use telectl::model::profile::Profile;

/// What values can bring about: a rule, a profile and a `--set` that breaks it.
pub(super) const CASES: &[(&str, Profile, &str)] = &[
    (
        "TEL-LNT-001",
        Profile::Dev,
        "streamer.config.csvFile=/elsewhere/x.csv",
    ),
    ("TEL-LNT-002", Profile::SameCluster, "redis.enabled=false"),
    ("TEL-LNT-002", Profile::SameCluster, "etcd.enabled=false"),
    ("TEL-LNT-002", Profile::Central, "postgresql.enabled=false"),
    (
        "TEL-LNT-003",
        Profile::Edge,
        "externalRedis.username=me,externalRedis.auth.enabled=false",
    ),
    (
        "TEL-LNT-003",
        Profile::Edge,
        "externalRedis.auth.existingSecret=",
    ),
    (
        "TEL-LNT-004",
        Profile::Edge,
        "externalRedis.password=${SECRET},externalRedis.auth.enabled=false",
    ),
    (
        "TEL-LNT-005",
        Profile::Central,
        "externalDatabase.host=db.example.com",
    ),
    (
        "TEL-LNT-007",
        Profile::Central,
        "postgresql.primary.extendedConfiguration=shared_preload_libraries = 'timescaledb'",
    ),
    (
        "TEL-LNT-008",
        Profile::Dev,
        "streamer.image.repository=telemetry-pipeline-streamer",
    ),
    ("TEL-LNT-008", Profile::Dev, "collector.image.tag=v2"),
    ("TEL-LNT-008", Profile::Dev, "image.tag=latest"),
    ("TEL-LNT-008", Profile::Dev, "redis.image=redis"),
    (
        "TEL-LNT-009",
        Profile::Central,
        r"apiGateway.ingress.enabled=true,apiGateway.ingress.annotations.nginx\.ingress\.kubernetes\.io/rate-limit=100",
    ),
    (
        "TEL-LNT-010",
        Profile::Dev,
        r"streamer.podAnnotations.prometheus\.io/port=9999",
    ),
    (
        "TEL-LNT-011",
        Profile::SameCluster,
        "streamer.resources.requests.cpu=null,streamer.resources.limits.cpu=null",
    ),
    (
        "TEL-LNT-012",
        Profile::Edge,
        "streamer.config.loopMode=true",
    ),
    ("TEL-LNT-013", Profile::Dev, "collector.replicaCount=1"),
    (
        "TEL-LNT-014",
        Profile::Central,
        "autoscaling.maxReplicas=40",
    ),
    (
        "TEL-LNT-014",
        Profile::Central,
        r"resourceQuota.hard.limits\.cpu=1",
    ),
    (
        "TEL-LNT-014",
        Profile::SameCluster,
        "collector.resources.limits.memory=null",
    ),
    ("TEL-LNT-016", Profile::Dev, "redis.auth.password=canary-55"),
    (
        "TEL-LNT-016",
        Profile::Dev,
        "collector.podAnnotations.api-token=canary-55",
    ),
    (
        "TEL-LNT-016",
        Profile::Edge,
        "etcd.endpoints={https://me:canary-55@etcd.example.com:2379}",
    ),
    (
        "TEL-LNT-017",
        Profile::SameCluster,
        r"networkPolicy.ingress[0].from[0].podSelector.matchLabels.app\.kubernetes\.io/component=redis",
    ),
    ("TEL-LNT-018", Profile::Shared, "redis.architecture=cluster"),
    (
        "TEL-LNT-019",
        Profile::Edge,
        "externalRedis.host=redis.example.com:6379",
    ),
    (
        "TEL-LNT-019",
        Profile::Edge,
        "streamer.advertise.serviceAddress=http://streamer.example.com",
    ),
    (
        "TEL-LNT-020",
        Profile::Dev,
        r"commonLabels.service\.beta\.kubernetes\.io/aws-load-balancer-type=nlb",
    ),
    (
        "TEL-LNT-021",
        Profile::Dev,
        r"commonLabels.app\.kubernetes\.io/managed-by=helm",
    ),
    (
        "TEL-LNT-030",
        Profile::Edge,
        "externalRedis.tls.enabled=false",
    ),
    (
        "TEL-LNT-030",
        Profile::Edge,
        "etcd.endpoints={http://etcd.example.com:2379}",
    ),
    ("TEL-LNT-030", Profile::Shared, "redis.tls.enabled=false"),
    (
        "TEL-LNT-030",
        Profile::Central,
        "backup.storage.type=s3,backup.storage.endpoint=http://s3.example.com",
    ),
    (
        "TEL-LNT-031",
        Profile::Edge,
        "externalRedis.host=redis.shared-infrastructure.svc",
    ),
    (
        "TEL-LNT-032",
        Profile::Dev,
        "networkPolicy.egress[0].to[0].namespaceSelector.matchLabels.name=x",
    ),
    (
        "TEL-LNT-033",
        Profile::Central,
        "postgresql.service.type=LoadBalancer",
    ),
    ("TEL-LNT-034", Profile::Shared, "redis.auth.enabled=false"),
    (
        "TEL-LNT-034",
        Profile::Central,
        "apiGateway.config.auth.enabled=false",
    ),
    (
        "TEL-LNT-035",
        Profile::Dev,
        "streamer.affinity.nodeAffinty={}",
    ),
    (
        "TEL-LNT-035",
        Profile::Dev,
        "streamer.tolerations[0].kye=gpu",
    ),
    (
        "TEL-LNT-035",
        Profile::SameCluster,
        "autoscaling.behavior.scaleUp.policies=fast",
    ),
    (
        "TEL-LNT-036",
        Profile::Dev,
        "streamer.podLabels.team=two words",
    ),
    (
        "TEL-LNT-038",
        Profile::Dev,
        r"collector.resources.requests.cpu=4",
    ),
    (
        "TEL-LNT-039",
        Profile::SameCluster,
        "networkPolicy.egress[0].to=[]",
    ),
    (
        "TEL-LNT-039",
        Profile::SameCluster,
        "networkPolicy.ingress[0].ports[0].port=6379",
    ),
    ("TEL-LNT-040", Profile::Dev, "streamer.replicaCont=3"),
    ("TEL-LNT-041", Profile::Dev, "rbac.create=true"),
    ("TEL-LNT-041", Profile::Edge, "streamer.replicaCount=5"),
    (
        "TEL-LNT-042",
        Profile::Edge,
        "redis.external.host=redis.example.com",
    ),
    ("TEL-LNT-043", Profile::Dev, "image.tag=${NOT_SET}"),
    ("TEL-LNT-044", Profile::Dev, "queue.claimIdle=soon"),
    ("TEL-LNT-044", Profile::Dev, "lint.allow={TEL-LNT-300}"),
    ("TEL-LNT-046", Profile::Edge, "redis.enabled=true"),
    (
        "TEL-LNT-048",
        Profile::Dev,
        "apiGateway.tls.enabled=true,apiGateway.ingress.enabled=true",
    ),
];

/// What no `--set` can bring about: by a file, a variable, or by changing what was rendered.
pub(super) const ELSEWHERE: &[&str] = &[
    "TEL-LNT-006",
    "TEL-LNT-015",
    "TEL-LNT-037",
    "TEL-LNT-045",
    "TEL-LNT-047",
];
