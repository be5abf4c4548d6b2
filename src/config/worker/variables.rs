//! The variables of workers: which there are, and what they mean.

/// Every variable that a worker understands, and what it means.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        "CLUSTER_ID",
        "name of the cluster, part of every source's identity",
    ),
    ("POD_NAME", "name of the pod (downward API)"),
    ("POD_IP", "address of the pod (downward API)"),
    ("NODE_NAME", "node of the pod (downward API)"),
    ("NAMESPACE", "namespace of the pod (downward API)"),
    ("SERVICE_NAME", "Service in front of the worker"),
    (
        "SERVICE_ADDRESS",
        "address to advertise, before anything else",
    ),
    (
        "EXTERNAL_SERVICE_ADDRESS",
        "address to advertise to other clusters",
    ),
    ("HTTP_PORT", "port to advertise; the listen port if unset"),
    (
        "ADVERTISED_SCHEME",
        "http or https, as others reach the worker",
    ),
    ("LISTEN_PORT", "port to listen on"),
    (
        "HTTP_TLS_DIR",
        "folder with tls.crt and tls.key, for HTTPS on that port; HTTP if unset",
    ),
    (
        "HTTP_CA_CERT",
        "PEM text of the authority that signed tls.crt, for probes of other workers",
    ),
    (
        "STREAMER_ID",
        "name of the streamer; the pod's name if unset",
    ),
    (
        "COLLECTOR_ID",
        "name of the collector; the pod's name if unset",
    ),
    ("GATEWAY_ID", "name of the gateway; the pod's name if unset"),
    ("LOG_LEVEL", "error, warn, info, debug or trace"),
    ("LOG_FORMAT", "text or json"),
    ("SHUTDOWN_GRACE", "longest time to stop in, for example 25s"),
    (
        "REDIS_URL",
        "redis:// or rediss://[user[:password]@]host[:port][/database]",
    ),
    (
        "REDIS_SENTINELS",
        "instead of REDIS_URL: host:port of the sentinels that name the server, comma-separated",
    ),
    (
        "REDIS_MASTER_NAME",
        "the name by which the sentinels know the server",
    ),
    (
        "REDIS_SENTINEL_USERNAME",
        "user at the sentinels, if they ask for one",
    ),
    (
        "REDIS_SENTINEL_PASSWORD",
        "password at the sentinels, if they ask for one",
    ),
    (
        "REDIS_CLUSTER_NODES",
        "instead of REDIS_URL: host:port of nodes of a Redis Cluster, comma-separated",
    ),
    (
        "REDIS_DATABASE",
        "number of the database, if it is not in REDIS_URL",
    ),
    ("REDIS_USERNAME", "user, if it is not in REDIS_URL"),
    ("REDIS_PASSWORD", "password, if it is not in REDIS_URL"),
    (
        "REDIS_TLS_ENABLED",
        "true makes redis:// mean rediss://; sentinels and nodes then speak TLS, too",
    ),
    (
        "REDIS_CA_CERT",
        "PEM text of the authority that signed the server's certificate",
    ),
    (
        "REDIS_CLIENT_CERT",
        "PEM text of a client certificate, if the server asks for one",
    ),
    ("REDIS_CLIENT_KEY", "PEM text of that certificate's key"),
    (
        "PIPELINE",
        "name of the pipeline, the same for all its workers; telemetry-system if unset",
    ),
    ("QUEUE_SHARDS", "number of streams"),
    (
        "CLAIM_IDLE",
        "silence after which another consumer takes over an entry",
    ),
    ("ETCD_ENDPOINTS", "comma-separated URLs"),
    ("ETCD_USERNAME", "user"),
    ("ETCD_PASSWORD", "password"),
    (
        "ETCD_CA_CERT",
        "PEM text of the authority that signed the server's certificate",
    ),
    ("ETCD_CLIENT_CERT", "PEM text of the client certificate"),
    (
        "ETCD_CLIENT_KEY",
        "PEM text of the client certificate's key",
    ),
    (
        "LEASE_TTL",
        "life of the registration after the worker's, for example 15s",
    ),
    ("DB_HOST", "host of the database"),
    ("DB_PORT", "port of the database"),
    ("DB_NAME", "name of the database"),
    ("DB_USER", "user of the database"),
    ("DB_PASSWORD", "password of the user"),
    (
        "DB_SSL_MODE",
        "disable, prefer, require, verify-ca or verify-full",
    ),
    (
        "DB_CA_CERT",
        "PEM text of the authority that signed the server's certificate",
    ),
    (
        "CSV_FILE",
        "file, folder or pattern to stream, or file to download to",
    ),
    (
        "UPLOAD_LIMIT",
        "bytes of one file that is uploaded; nothing can be uploaded if unset",
    ),
    (
        "UPLOAD_TOTAL",
        "bytes of all uploaded files that are kept; four times UPLOAD_LIMIT if unset",
    ),
    (
        "UPLOAD_TOKEN",
        "token that an upload has to show; uploads come from the pod itself only if unset",
    ),
    (
        "FOLLOW",
        "true follows CSV_FILE as it grows: a file, a folder or a pattern",
    ),
    (
        "FOLLOW_LINGER",
        "time between two looks at what is followed; 500ms if unset",
    ),
    (
        "FOLLOW_GRACE",
        "how long a followed file that was renamed or deleted has to be quiet before it is signed \
         off; 10s if unset",
    ),
    (
        "GENERATE",
        "telemetry to make up instead of reading CSV_FILE, for example \
         hosts=2,gpus=8,rows=100000,interval=1s",
    ),
    (
        "SCRAPE_TARGETS",
        "comma-separated URLs of exporters to scrape, dns+ in front of one for every address of its name",
    ),
    ("SCRAPE_INTERVAL", "time between two scrapes; 15s if unset"),
    (
        "SCRAPE_TIMEOUT",
        "longest time for a scrape, up to the interval; 10s if unset",
    ),
    (
        "SCRAPE_LIMIT",
        "most bytes that an exporter may answer; 16 MiB if unset",
    ),
    (
        "SCRAPE_CA_CERT",
        "PEM text of the authority behind https targets; the public ones if unset",
    ),
    ("SCRAPE_TOKEN", "bearer token that all targets ask for"),
    ("SCRAPE_USERNAME", "user that all targets ask for"),
    ("SCRAPE_PASSWORD", "password of that user"),
    ("SOURCE_URL", "http or https URL to download the file from"),
    (
        "SOURCE_SHA256",
        "SHA-256 of that file, in hexadecimal digits",
    ),
    ("SOURCE_LIMIT", "most bytes of that file"),
    (
        "SOURCE_CA_CERT",
        "PEM text of the authority behind SOURCE_URL; the public ones if unset",
    ),
    (
        "COMMIT_INTERVAL",
        "pause between transactions; unpaced if unset",
    ),
    (
        "INGEST",
        "default, or max: a day of samples is indexed by series once nothing arrives for it any more",
    ),
    (
        "INGEST_QUIET",
        "how long nothing must have arrived for a day until it is indexed with INGEST=max; 1h if unset",
    ),
    (
        "RETENTION",
        "days of event time before today that are kept; older ones are dropped; all are kept if unset",
    ),
    (
        "BATCH_SIZE",
        "streamer: rows per batch; collector: rows per transaction at most",
    ),
    ("STREAM_INTERVAL", "pause between batches; unpaced if unset"),
    ("LOOP_MODE", "true reads the source again and again"),
    (
        "SPOOL_DIR",
        "folder of the spool, on a volume that outlives the pod",
    ),
    (
        "SPOOL_LIMIT",
        "bytes that the spool may hold before reading pauses",
    ),
    (
        "STREAMER_REPLICAS",
        "how many streamers start together, to share the chunks fairly",
    ),
    ("POLL_INTERVAL", "longest wait for new entries"),
    (
        "API_TOKEN",
        "bearer token that the gateway asks for; open if unset",
    ),
    (
        "CORS_ORIGINS",
        "comma-separated origins whose pages may ask the gateway, or *; none if unset",
    ),
    (
        "STREAM_LIMIT",
        "streams of events that a gateway serves at a time; 32 if unset, 0 for none",
    ),
];
