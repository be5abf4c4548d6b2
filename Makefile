# The two commands of the README: `make demo` and `make test`. Both install what they need.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help packages build demo down test unit lint image cluster-up cluster-down bench profile chaos chaos-deploy \
	chaos-pipeline sabotage sweep acceptance api-fuzz fuzz \
	helm-install-same-cluster helm-install-cross-cluster-all helm-install-cross-cluster-edge \
	helm-install-cross-cluster-central validate-same-cluster validate-cross-cluster \
	validate-connectivity validate-health deploy-status

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
CLUSTERS ?= edge central
TELECTL := target/release/telectl
IMAGES := target/images

help: ## Print the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 36

packages: ## Install the Debian packages that building and testing need
	@scripts/packages

build: packages ## Build the release binary
	@cargo build --release --locked

demo: ## The main job: the embedded run, then two real clusters with data from the edge to the API
	@scripts/demo

down: ## Stop the clusters and everything else that `make demo` or `make cluster-up` left running
	@scripts/clusters down

image: build ## Pack the image of telectl, and the servers' for the test clusters, as OCI archives
	@scripts/images

cluster-up: packages image ## Start the test clusters (CLUSTERS="edge central") and load the images
	@scripts/clusters up $(CLUSTERS)

cluster-down: ## Stop the test clusters
	@scripts/clusters down

lint: packages ## rustfmt, clippy, gofmt and go vet, without a warning
	@scripts/lint

test: packages ## Every test: units, real servers, real clusters
	@scripts/test

unit: ## Only the tests that need no server and no cluster
	@cargo test --locked --lib

bench: packages build ## Paired measurements, and telectl against helm and kubectl; not part of the tests
	@scripts/bench

profile: packages ## Instructions per row in the workers' inner loops, by valgrind (BASE=… to compare)
	@scripts/profile

chaos: chaos-pipeline chaos-deploy ## Both: the data path under faults, and deployments that are killed

chaos-deploy: packages ## telectl killed at many of its writes on real clusters (KILLS=20 SEED=…)
	@scripts/chaos

chaos-pipeline: packages build ## The data path killed, frozen and lied to; every row counted (ROUNDS=500 SEED=…)
	@scripts/chaos-pipeline

sabotage: packages ## telectl with one promise broken, again and again: the chaos has to catch each (ONLY=…)
	@scripts/sabotage

sweep: packages ## telectl killed before, in and after every write of a four-cluster run (POINTS=all LANES=2)
	@scripts/sweep

fuzz: packages ## libFuzzer at files, messages, spools and registrations (FUZZ_SECONDS=60 TARGETS="codec …")
	@scripts/fuzz

api-fuzz: build ## Schemathesis against a gateway (URL=… TOKEN=…), or against the embedded run; not part of the tests
	@scripts/api-fuzz

acceptance: ## Which rows of docs/acceptance.md have a test that passed in the last `make test`
	@scripts/acceptance

# The targets of the original's guide, as thin calls of telectl. EDGE_CONTEXT, CENTRAL_CONTEXT,
# SHARED_CONTEXT, REDIS_HOST, REDIS_PASSWORD, DB_PASSWORD and NAMESPACE are read by telectl itself;
# CONTEXT names the cluster that is the only one; ARGS adds flags, such as ARGS="-f lab --yes".
helm-install-same-cluster: build ## Everything in one cluster: telectl deploy same-cluster (CONTEXT)
	@$(TELECTL) deploy same-cluster $(if $(CONTEXT),--context "$(CONTEXT)") $(ARGS)

helm-install-cross-cluster-all: build ## All clusters: telectl deploy-all
	@$(TELECTL) deploy-all $(ARGS)

helm-install-cross-cluster-edge: build ## An edge: telectl deploy edge
	@$(TELECTL) deploy edge $(ARGS)

helm-install-cross-cluster-central: build ## The centre: telectl deploy central
	@$(TELECTL) deploy central $(ARGS)

validate-same-cluster: build ## Every check of one cluster: telectl validate (CONTEXT)
	@$(TELECTL) validate all $(if $(CONTEXT),--edge-context "$(CONTEXT)" --central-context "$(CONTEXT)") $(ARGS)

validate-cross-cluster: build ## Every check of all clusters: telectl validate
	@$(TELECTL) validate all $(ARGS)

validate-connectivity: build ## Real packets from the pods: telectl validate connectivity
	@$(TELECTL) validate connectivity $(ARGS)

validate-health: build ## Health of the workers and the API: telectl validate health
	@$(TELECTL) validate health $(ARGS)

deploy-status: build ## How the pipeline stands: telectl status
	@$(TELECTL) status $(ARGS)
