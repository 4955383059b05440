# One target a stage; `make demo` runs them in order.  README explains each; `make help` lists them.
#
# The clients find the servers by their own variables.  Where DET_MASTER is set, yours are used (a real cluster);
# otherwise those of the local cluster (python -m localcluster env).
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
CLIENTS := $(if $(DET_MASTER),true,variables=$$($(PYTHON) -m localcluster env) && eval "$$variables")
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Where it is set, as many images for CI do, every process compiles TensorFlow anew: seconds of each trial and test.
unexport PYTHONDONTWRITEBYTECODE

REPORT = $(or $(REPORT_DIR),build/report)
TRAIN ?= new
CONFIG ?= const.yaml
BENCH ?= determined pachyderm serving training
FIRST_SET = $(if $(TRIAL_IMAGE),--set "environment.image=$(TRIAL_IMAGE)") $(if $(TRAIN_DATA),--set "data.train=$(TRAIN_DATA)")
# Hashes look like secrets, and so do the names of Kubernetes' Secrets; what tests look for in logs says canary.
NO_SECRETS := --disable-plugin HexHighEntropyString --disable-plugin Base64HighEntropyString --exclude-files ^requirements/ \
	--exclude-lines '([sS]ecretName|[pP]ullSecrets?|xistingSecret(Key)?)"?:' \
	--exclude-secrets '^(fashion-classifier-pachyderm|czNjcmV0|.*canary=?)$$'
PYTEST := $(PYTHON) -m pytest -q --dist loadgroup

.PHONY: help env demo data validated train search register gate image images image-tools scan deploy predict rollout release \
	rollback lineage cluster-charts cluster-render cluster up down status logs reset test test-fast test-long check secrets ci bench

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

env: ## make .venv and .venv-serving hold what the hashed locks say
	@requirements/install.sh .venv main.txt tools.txt .
	@UV_COMPILE_BYTECODE=1 requirements/install.sh .venv-serving serving.txt  # Pods do not write into what they run in.
	@$(PYTHON) -m localcluster.kubernetes.tools >/dev/null

demo: env ## the main job: raw data to a served model on the local cluster (TRAIN=reuse skips the training)
	@$(PYTHON) -m demo --train "$(TRAIN)"

data: env ## Fashion-MNIST into the Pachyderm repos, validated (DATA_DIR=folder, FIRST=number of images)
	@$(CLIENTS) && $(PYTHON) -m data $(if $(DATA_DIR),--folder "$(DATA_DIR)") $(if $(FIRST),--first "$(FIRST)") \
		&& $(PYTHON) -m pipelines --wait fmnist-train fmnist-test

validated: env ## are the splits that training and gate would read now validated? (TRAIN_DATA, TEST_DATA=repo@branch)
	@$(CLIENTS) && $(PYTHON) -m data.heads

train: env ## the const experiment on Determined (CONFIG=file, TRAIN=reuse, TRAIN_SET="hyperparameters.epochs=2 …")
	$(if $(filter-out new reuse,$(TRAIN)),$(error TRAIN=$(TRAIN) is neither new nor reuse))
	@$(CLIENTS) && $(PYTHON) -m fmnist.model.submit --config "$(CONFIG)" \
		$(if $(filter reuse,$(TRAIN)),--reuse) $(FIRST_SET) $(foreach value,$(TRAIN_SET),--set "$(value)")

search: env ## the adaptive experiment on Determined (SEARCH_SET="searcher.max_trials=4 …")
	@$(CLIENTS) && $(PYTHON) -m fmnist.model.submit --config adaptive.yaml \
		$(FIRST_SET) $(foreach value,$(SEARCH_SET),--set "$(value)")

register: env ## the trained checkpoint as a version of fashion-classifier
	@$(CLIENTS) && $(PYTHON) -m fmnist.model.register

gate: env ## the accuracy test against the registered version, with its report
	@$(CLIENTS) && REPORT_DIR="$(REPORT)" $(PYTEST) fmnist/test/test_model_accuracy.py --junitxml="$(REPORT)/junit.xml"

image: env ## the registered version as an OCI image (REGISTRY=host/path: over its base, pushed, for a cluster)
	@$(CLIENTS) && $(PYTHON) -m deploy.release.image

images: env ## the images of the pipelines and of Determined's tasks, pushed (REGISTRY=host/path)
	@$(PYTHON) -m deploy.release.images

image-tools: ## buildah and skopeo, from the distribution's packages, where they are missing
	@requirements/packages.sh buildah skopeo

scan: env ## known vulnerabilities and the SBOM of what is served (SCAN_WITHOUT_DATABASE=fail, or warn)
	@requirements/install.sh build/ci ci.txt && $(PYTHON) -m deploy.release.scan

deploy: env ## the image as a SeldonDeployment; returns when the new version answers
	@$(CLIENTS) && $(PYTHON) -m deploy.release.apply

predict: env ## real test images through the ingress
	@$(CLIENTS) && $(PYTHON) -m deploy.release.predict

rollout: env ## the image as shadow, as canary, then live (CANARY_STEPS="10 50", OVERLAY=local, PHASES="shadow compare …")
	@$(CLIENTS) && $(PYTHON) -m deploy.release.release $(PHASES)

release: env ## gate, image, rollout: each phase judged, what was live brought back by a refusal
	@$(MAKE) --no-print-directory gate image
	@$(MAKE) --no-print-directory rollout PHASES=

rollback: env ## the version that was live before, by its image's digest (VERSION=3)
	@$(CLIENTS) && $(PYTHON) -m deploy.release.rollback $(if $(VERSION),--version "$(VERSION)")

lineage: env ## the chain behind a version, a commit or an answer (VERSION=3, COMMIT=repo@branch, ANSWER=file or -)
	@$(CLIENTS) && $(PYTHON) -m fmnist.lineage $(if $(VERSION),--version "$(VERSION)") \
		$(if $(COMMIT),--commit "$(COMMIT)") $(if $(ANSWER),--answer "$(ANSWER)")

cluster-charts: env ## the Helm charts of Istio, Seldon Core, Pachyderm and Determined, at pinned versions
	@deploy/cluster/install.sh pull

cluster-render: env ## these charts rendered with our values, and checked; needs no cluster
	@$(PYTEST) -rs tests/deploy/cluster

cluster: env ## install on the cluster of KUBECONFIG (deploy/cluster/README.md; RELEASE="seldon-core …")
	@deploy/cluster/install.sh install $(RELEASE)

up: env ## start the local cluster
	@$(PYTHON) -m localcluster up

down: env ## stop the local cluster; loses nothing
	@$(PYTHON) -m localcluster down

status: env ## what runs
	@$(PYTHON) -m localcluster status

logs: env ## the services' logs (SERVICE=name, FOLLOW=1)
	@$(PYTHON) -m localcluster logs $(SERVICE) $(if $(FOLLOW),--follow)

reset: env ## stop the local cluster and delete its state
	@$(PYTHON) -m localcluster reset

test: env check ## all tests that need no GPU and no external cluster
	@$(PYTEST) -n 2 -m "not long" $(PYTEST_ARGS) --durations=40 --durations-min=10

test-fast: env ## an answer in two minutes
	@$(PYTEST) -n 2 -m "not slow and not e2e and not long" $(PYTEST_ARGS)

test-long: env ## chaos, soak, full data, and other examples of every property
	@HYPOTHESIS_PROFILE=search $(PYTEST) -m "long or hypothesis"

bench: env ## measure again, on a quiet machine (BENCH="serving load …": the folders of benchmarks/; serving takes 30 min)
	@$(CLIENTS) && for name in $(BENCH); do $(PYTHON) -m "benchmarks.$$name.measure" || exit 1; done

check: env ## format, lint, types, import rules
	@$(PYTHON) -m ruff format --check . && $(PYTHON) -m ruff check . && .venv/bin/lint-imports
	@$(PYTHON) -m mypy --exclude ^benchmarks/serving/peers/ benchmarks data demo docs localcluster fmnist pipelines tests && $(PYTHON) -m mypy -p deploy.release
	@$(PYTHON) -m mypy --python-executable .venv-serving/bin/python -p fashion_classifier -m FashionClassifier

secrets: ## no password or token in a tracked file
	@requirements/install.sh build/ci ci.txt && git ls-files -z | xargs -0 build/ci/bin/detect-secrets-hook $(NO_SECRETS)

ci: env ## .gitlab-ci.yml on this machine, against the local cluster (CI_ARGS="--list", PYTEST_ARGS=…)
	@requirements/gitlab-ci-local/install.sh && $(CLIENTS) && $(PYTHON) -m demo.pipeline $(CI_ARGS)
