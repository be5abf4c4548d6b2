//! The annotations that ingress-nginx knows.

/// What stands before each name.
pub(super) const PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// Every name, of this and of earlier versions, by topic.
const NAMES: &[&str] = &[
    "app-root affinity affinity-mode affinity-canary-behavior",
    "auth-realm auth-secret auth-secret-type auth-type auth-url auth-method auth-signin",
    "auth-signin-redirect-param auth-response-headers auth-request-redirect auth-cache-key",
    "auth-cache-duration auth-keepalive auth-keepalive-requests auth-keepalive-share-vars",
    "auth-keepalive-timeout auth-proxy-set-headers auth-snippet auth-always-set-cookie",
    "auth-tls-secret auth-tls-verify-depth auth-tls-verify-client auth-tls-error-page",
    "auth-tls-pass-certificate-to-upstream auth-tls-match-cn enable-global-auth",
    "backend-protocol canary canary-by-header canary-by-header-value canary-by-header-pattern",
    "canary-by-cookie canary-weight canary-weight-total client-body-buffer-size",
    "configuration-snippet server-snippet stream-snippet custom-http-errors custom-headers",
    "default-backend disable-proxy-intercept-errors denylist-source-range",
    "enable-cors cors-allow-origin cors-allow-methods cors-allow-headers cors-expose-headers",
    "cors-allow-credentials cors-max-age force-ssl-redirect ssl-redirect from-to-www-redirect",
    "http2-push-preload limit-connections limit-rps limit-rpm limit-rate limit-rate-after",
    "limit-burst-multiplier limit-whitelist limit-allowlist global-rate-limit",
    "global-rate-limit-window global-rate-limit-key global-rate-limit-ignored-cidrs",
    "permanent-redirect permanent-redirect-code temporal-redirect temporal-redirect-code",
    "relative-redirects preserve-trailing-slash proxy-body-size proxy-busy-buffers-size",
    "proxy-cookie-domain proxy-cookie-path proxy-connect-timeout proxy-send-timeout",
    "proxy-read-timeout proxy-next-upstream proxy-next-upstream-timeout",
    "proxy-next-upstream-tries proxy-request-buffering proxy-redirect-from proxy-redirect-to",
    "proxy-http-version proxy-buffering proxy-buffers-number proxy-buffer-size",
    "proxy-max-temp-file-size proxy-ssl-secret proxy-ssl-ciphers proxy-ssl-name",
    "proxy-ssl-protocols proxy-ssl-verify proxy-ssl-verify-depth proxy-ssl-server-name",
    "enable-rewrite-log enable-access-log rewrite-target use-regex use-port-in-redirects",
    "satisfy secure-verify-ca-secret server-alias service-upstream session-cookie-name",
    "session-cookie-path session-cookie-domain session-cookie-max-age session-cookie-expires",
    "session-cookie-secure session-cookie-samesite session-cookie-change-on-failure",
    "session-cookie-conditional-samesite-none ssl-passthrough ssl-ciphers",
    "ssl-prefer-server-ciphers upstream-hash-by upstream-hash-by-subset",
    "upstream-hash-by-subset-size upstream-vhost x-forwarded-prefix load-balance",
    "whitelist-source-range connection-proxy-header enable-opentracing",
    "opentracing-trust-incoming-span enable-opentelemetry opentelemetry-operation-name",
    "opentelemetry-trust-incoming-span enable-influxdb influxdb-measurement influxdb-port",
    "influxdb-host influxdb-server-name enable-modsecurity enable-owasp-core-rules",
    "modsecurity-transaction-id modsecurity-snippet mirror-request-body mirror-target mirror-host",
];

/// Every name, without the prefix.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().flat_map(|line| line.split(' '))
}
