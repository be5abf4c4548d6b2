//! Examples of the commands about the workers and their data.

use super::Example;

/// By command.
pub(super) const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "registry",
        &[
            (
                "telectl registry list --etcd-endpoints https://etcd.example:2379",
                "ETCD_CA_CERT and the login come from the environment",
            ),
            (
                "telectl registry resolve-address",
                "where a worker with this environment would say it is",
            ),
        ],
    ),
    (
        "registry list",
        &[
            (
                "telectl registry list --type streamer --cluster edge",
                "the streamers of one cluster; ETCD_ENDPOINTS names the registry",
            ),
            ("telectl registry list -o json", "for a program"),
        ],
    ),
    (
        "registry watch",
        &[
            (
                "telectl registry watch --cluster edge",
                "who comes, changes and goes",
            ),
            ("telectl registry watch -o json", "one object per change"),
        ],
    ),
    (
        "registry show",
        &[(
            "telectl registry show edge.telemetry-system.streamer-0",
            "every field, and whether its address answers",
        )],
    ),
    (
        "registry prune",
        &[
            (
                "telectl registry prune --dry-run",
                "what nobody keeps alive",
            ),
            ("telectl registry prune --yes", "without asking"),
        ],
    ),
    (
        "registry resolve-address",
        &[
            (
                "telectl registry resolve-address --type collector --reach cluster",
                "as in a pod",
            ),
            ("telectl registry resolve-address -o json", "for a program"),
        ],
    ),
    (
        "verify",
        &[(
            "telectl verify data",
            "DB_HOST and its like name the database",
        )],
    ),
    (
        "verify data",
        &[
            ("telectl verify data", "where DB_HOST and its like are set"),
            (
                "telectl verify data --complete -o json",
                "for a pipeline: 4 unless every source is stored whole",
            ),
            (
                "telectl verify data --file metrics.csv",
                "against the file itself, too",
            ),
        ],
    ),
    (
        "backup",
        &[
            (
                "telectl backup -c central -o telemetry.dump",
                "from the database's pod; its proof is telemetry.dump.proof.json",
            ),
            (
                "telectl backup --timeout 12h",
                "where DB_HOST and its like name the database",
            ),
        ],
    ),
    (
        "restore",
        &[
            (
                "telectl restore telemetry.dump -c central --dry-run",
                "whether it is whole and may be restored",
            ),
            (
                "telectl restore telemetry.dump -c central --replace --yes",
                "in place of the rows that are there, without asking",
            ),
        ],
    ),
    (
        "demo",
        &[
            ("telectl demo", "a sample of 247 GPUs"),
            (
                "telectl demo --file metrics.csv --once",
                "a file of your own",
            ),
        ],
    ),
    (
        "worker",
        &[(
            "telectl worker collector",
            "as a pod runs it; everything comes from the environment",
        )],
    ),
    (
        "worker streamer",
        &[
            (
                "telectl worker streamer",
                "REDIS_URL names the queue, CSV_FILE the file, folder or pattern",
            ),
            (
                "telectl worker streamer --generate hosts=100,gpus=8,rows=1000000,interval=10s",
                "a million rows of GPUs that do not exist, the last ones of now",
            ),
        ],
    ),
    (
        "worker collector",
        &[(
            "telectl worker collector",
            "REDIS_URL and DB_HOST name the servers",
        )],
    ),
    (
        "worker api-gateway",
        &[("telectl worker api-gateway", "DB_HOST names the database")],
    ),
    (
        "worker fetch",
        &[(
            "telectl worker fetch",
            "SOURCE_URL and SOURCE_SHA256 name the file, CSV_FILE where it goes",
        )],
    ),
    (
        "worker probe",
        &[(
            "telectl worker probe --component collector",
            "what a collector would reach from here",
        )],
    ),
];
