//! Examples of the commands about clusters and values, and of telectl itself.

use super::Example;

/// By command; the empty name is telectl itself.
pub(super) const EXAMPLES: &[(&str, &[Example])] = &[
    (
        "",
        &[
            (
                "telectl demo",
                "see GPU data in seconds, without any cluster",
            ),
            (
                "telectl deploy-all -e edge -c central",
                "deploy to two clusters",
            ),
            (
                "telectl status -e edge -c central",
                "see whether it is well, and where not",
            ),
        ],
    ),
    (
        "render",
        &[
            (
                "telectl render edge -f lab --placeholders",
                "what edge would be",
            ),
            (
                "telectl render dev shared --output-dir manifests",
                "one file per object",
            ),
        ],
    ),
    (
        "plan",
        &[
            (
                "telectl plan -e edge -c central",
                "what would change, by field",
            ),
            (
                "telectl plan -e edge -c central --exit-code -o json",
                "for a pipeline: 3 if something would change",
            ),
        ],
    ),
    (
        "deploy",
        &[
            ("telectl deploy central --context central", "one profile"),
            (
                "telectl deploy edge --context edge -c central --dry-run",
                "edge finds Redis and etcd in central",
            ),
            (
                "telectl deploy same-cluster --context kind-dev -y",
                "all in one cluster",
            ),
        ],
    ),
    (
        "lint",
        &[
            (
                "telectl lint -f my-values.yaml",
                "what is wrong with values, without a cluster",
            ),
            (
                "telectl lint edge central --fail-on warning -o json",
                "for a pipeline",
            ),
        ],
    ),
    (
        "explain",
        &[
            (
                "telectl explain TEL-RED-001",
                "what a check looks at, and what to do",
            ),
            ("telectl explain modes", "one cluster or several"),
        ],
    ),
    (
        "resume",
        &[(
            "telectl resume -c central",
            "go on with a run that broke off, with the values that it had",
        )],
    ),
    (
        "rollback",
        &[
            (
                "telectl rollback -e edge -c central --dry-run",
                "what going back to the last generation would change",
            ),
            (
                "telectl rollback -e edge -c central --to 3",
                "back to generation 3",
            ),
        ],
    ),
    (
        "uninstall",
        &[
            (
                "telectl uninstall -e edge -c central --dry-run",
                "what would go and what would stay",
            ),
            (
                "telectl uninstall -e edge -c central",
                "edges first; volumes and passwords stay",
            ),
        ],
    ),
    (
        "rbac",
        &[(
            "telectl rbac edge central",
            "the Roles that an operator's account needs",
        )],
    ),
    (
        "history",
        &[(
            "telectl history -e edge -c central",
            "what was deployed, when and by whom",
        )],
    ),
    (
        "deploy-all",
        &[
            (
                "telectl deploy-all -e edge -e edge-2 -c central",
                "two edges",
            ),
            (
                "telectl deploy-all -e edge -c central -s shared --yes",
                "Redis and etcd in a cluster of their own, without questions",
            ),
            (
                "telectl deploy-all -e edge -c central --set global.image.tag=1.2",
                "one value for this run",
            ),
        ],
    ),
    (
        "status",
        &[
            (
                "telectl status -e edge -c central",
                "once; exits with 4 if not well",
            ),
            ("telectl status -e edge -c central -w", "until Ctrl-C"),
            (
                "telectl status -c central --read-only -o json",
                "for programs, and without a Job",
            ),
        ],
    ),
    (
        "validate",
        &[
            ("telectl validate -e edge -c central", "every check"),
            (
                "telectl validate connectivity -e edge -c central -o junit",
                "for a CI server",
            ),
        ],
    ),
    (
        "config",
        &[
            ("telectl config view edge", "every value of a profile"),
            ("telectl config explain redis.enabled edge", "who set it"),
        ],
    ),
    (
        "config explain",
        &[
            ("telectl config explain redis.enabled edge", "one key"),
            (
                "telectl config explain global --set global.imageRegistry=r.example",
                "all keys below it, and what a flag would change",
            ),
        ],
    ),
    (
        "config diff",
        &[(
            "telectl config diff edge central",
            "the keys that differ, both values, and who set them",
        )],
    ),
    (
        "config overlays",
        &[(
            "telectl config overlays",
            "what -f takes besides files, and what for",
        )],
    ),
    (
        "config schema",
        &[(
            "telectl config schema",
            "the JSON Schema of values files, for an editor",
        )],
    ),
    (
        "config view",
        &[("telectl config view central -f lab", "with an overlay")],
    ),
    (
        "version",
        &[
            ("telectl version", "of this program"),
            (
                "telectl version -e edge -c central -o json",
                "of what runs, too",
            ),
        ],
    ),
    (
        "completions",
        &[
            (
                "telectl completions bash",
                "source <(telectl completions bash)",
            ),
            (
                "telectl completions fish",
                "telectl completions fish | source",
            ),
        ],
    ),
    (
        "man",
        &[
            (
                "telectl man deploy-all",
                "telectl man deploy-all | man -l -",
            ),
            ("telectl man --output-dir man/man1", "every page"),
        ],
    ),
];
