# For people who have Docker; `make image` makes the same image without it.
FROM rust:1.95-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends protobuf-compiler libprotobuf-dev
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
COPY --from=build /src/target/release/telectl /usr/local/bin/telectl
COPY tests/data/dcgm_metrics_20250718_134233.csv /data/dcgm_metrics_20250718_134233.csv
USER 65534:65534
ENTRYPOINT ["/usr/local/bin/telectl"]
