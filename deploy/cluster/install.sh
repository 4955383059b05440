#!/bin/sh
# What the project needs on a cluster: deploy/cluster/install.sh pull | install [RELEASE ...] | clients
#
# pull     brings the charts of charts.txt to build/charts (CHARTS=folder)
# install  namespaces, secrets and every release of charts.txt (or those named), a check after each, then the gateway
#          and the account that deploys
# clients  the trials' and the feedback's access to Pachyderm, once it runs and has given out their tokens
#
# A secret goes from its variable to kubectl or helm by standard input: it is in no file, argument or line of output.
# Everything can be run again.  README.md lists the variables.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
charts=${CHARTS:-build/charts}
limit=${TIMEOUT:-10m}
secret_variables="PACHYDERM_ROOT_TOKEN PACHYDERM_OAUTH_SECRET PACHYDERM_DB_PASSWORD DETERMINED_DB_PASSWORD
    DETERMINED_PASSWORD S3_ACCESS_KEY S3_SECRET_KEY REGISTRY_USER REGISTRY_PASSWORD"
determined_info=/api/v1/namespaces/determined/services/determined-master-service-determined:8080/proxy/info
plain_variables="S3_ENDPOINT S3_REGION PACHYDERM_BUCKET CHECKPOINT_BUCKET REGISTRY TRIAL_IMAGE"

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$*" >&2
    exit 1
}

# The variable's value, which has to fit between double quotes as it is.
value() {
    eval "found=\${$1:-}"
    [ -n "$found" ] || fail "$1 is not set; deploy/cluster/README.md says what it is for"
    case $found in
        *[!\ -~]* | *[\"\\]*) fail "$1 may have neither quotes, backslashes, line breaks nor characters outside of ASCII" ;;
    esac
    printf '%s' "$found"
}

# Lines of charts.txt without comments: release chart version namespace repository.
releases() { sed '/^#/d' "$here/charts.txt"; }

apply() { kubectl apply --server-side --field-manager=deploy-cluster -f -; }

# secret NAMESPACE NAME TYPE SOURCE: a Secret of what comes by standard input, SOURCE=/dev/stdin as kubectl reads it.
secret() {
    kubectl create secret generic "$2" -n "$1" --type="$3" "$4=/dev/stdin" --dry-run=client -o json | apply
}

pull() {
    mkdir -p "$charts"
    releases | while read -r _ chart version _ repository; do
        rm -rf "${charts:?}/$chart"
        helm pull "$chart" --repo "$repository" --version "$version" --untar --untardir "$charts"
        say "$chart $version is in $charts"
    done
}

check_charts() {
    releases | while read -r release chart version _; do
        at=$(sed -n "s/^version: *[\"']\{0,1\}\([^\"' ]*\).*/\1/p" "$charts/$chart/Chart.yaml" 2>/dev/null || true)
        [ "$at" = "$version" ] || fail "$charts/$chart is ${at:-not there}, $release needs $version: run make cluster-charts"
    done
}

preflight() {
    for tool in kubectl helm; do
        command -v "$tool" >/dev/null || fail "$tool is not on the PATH; make env brings it to .venv/bin"
    done
    missing=
    for name in $secret_variables $plain_variables; do
        eval "[ -n \"\${$name:-}\" ]" || missing="$missing $name"
    done
    [ -z "$missing" ] || fail "not set:$missing; deploy/cluster/README.md says what they are for"
    for name in $secret_variables $plain_variables; do value "$name" >/dev/null; done
    # kubectl reads variables line by line, and prints a line that is none.
    case ${PACHYDERM_IDPS:-} in
        *'
'*) fail "PACHYDERM_IDPS has to be one line of JSON" ;;
    esac
    check_charts
    kubectl kustomize "$here/ingress" | grep -q 'example\.com' &&
        fail "host and issuer of the tokens are still example.com's: set yours in $here/ingress/site.yaml"
    production=$here/../overlays/production
    kubectl kustomize "$production" | grep -q '192\.0\.2\.0/24' &&
        fail "the control plane's addresses are still 192.0.2.0/24: set yours in $production/networkpolicy.yaml"
    minor=$(kubectl get --raw /version | sed -n 's/.*"minor": *"\([0-9]*\).*/\1/p')
    [ -n "$minor" ] || fail "the cluster in KUBECONFIG does not answer"
    [ "$minor" -ge 32 ] || fail "the cluster is Kubernetes 1.$minor; Istio 1.30 needs 1.32 or newer"
    kubectl get storageclass -o jsonpath='{.items[*].metadata.annotations}' | grep -q 'is-default-class":"true"' ||
        fail "the cluster has no default StorageClass, which the databases need"
    say "ready: $(kubectl config current-context)"
}

prepare() {
    kubectl apply --server-side --field-manager=deploy-cluster -f "$here/namespaces.yaml"
    login=$(printf '%s:%s' "$(value REGISTRY_USER)" "$(value REGISTRY_PASSWORD)" | base64 | tr -d '\n')
    for namespace in default fashion-mnist-staging pachyderm determined; do
        printf '{"auths":{"%s":{"auth":"%s"}}}' "${REGISTRY%%/*}" "$login" |
            secret "$namespace" registry kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson
    done
    # The identity providers of people, as a list of Dex's connectors; none: only tokens of robots are accepted.
    {
        printf 'root-token=%s\n' "$(value PACHYDERM_ROOT_TOKEN)"
        printf 'pachd-oauth-client-secret=%s\n' "$(value PACHYDERM_OAUTH_SECRET)"
        printf 'postgresql-password=%s\n' "$(value PACHYDERM_DB_PASSWORD)"
        printf 'postgresql-postgres-password=%s\n' "$(value PACHYDERM_DB_PASSWORD)"
        printf 'upstream-idps=%s\n' "${PACHYDERM_IDPS:-[]}"
    } | secret pachyderm pachyderm-credentials Opaque --from-env-file
}

# What values/ leaves to the environment, as YAML.
own_values() {
    case $1 in
        pachyderm)
            printf 'pachd:\n  storage:\n    storageURL: "s3://%s?region=%s&endpoint=%s"\n' \
                "$(value PACHYDERM_BUCKET)" "$(value S3_REGION)" "$(value S3_ENDPOINT)"
            printf '    amazon: {region: "%s", id: "%s", secret: "%s"}\n' \
                "$(value S3_REGION)" "$(value S3_ACCESS_KEY)" "$(value S3_SECRET_KEY)"
            ;;
        determined)
            printf 'initialUserPassword: "%s"\ndb: {password: "%s"}\n' \
                "$(value DETERMINED_PASSWORD)" "$(value DETERMINED_DB_PASSWORD)"
            printf 'checkpointStorage: {bucket: "%s", endpointUrl: "%s", accessKey: "%s", secretKey: "%s"}\n' \
                "$(value CHECKPOINT_BUCKET)" "$(value S3_ENDPOINT)" "$(value S3_ACCESS_KEY)" "$(value S3_SECRET_KEY)"
            printf 'taskContainerDefaults: {cpuImage: "%s", gpuImage: "%s"}\n' \
                "$(value TRIAL_IMAGE)" "$(value TRIAL_IMAGE)"
            ;;
        *) say '{}' ;;
    esac
}

is_rolled_out() { kubectl rollout status "deployment/$2" -n "$1" --timeout="$limit"; }

# check RELEASE VERSION: whether it does its work, asked of the release and not of helm.
check() {
    case $1 in
        istio-base) kubectl wait --for=condition=Established crd/gateways.networking.istio.io --timeout="$limit" ;;
        istiod) is_rolled_out istio-system istiod ;;
        istio-ingressgateway)
            is_rolled_out istio-system istio-ingressgateway &&
                kubectl wait --for=jsonpath='{.status.loadBalancer.ingress}' service/istio-ingressgateway \
                    -n istio-system --timeout="$limit"
            ;;
        seldon-core)
            # The chart makes a new certificate for the webhook every time; the operator reads it when it starts.
            kubectl rollout restart deployment/seldon-controller-manager -n seldon-system &&
                is_rolled_out seldon-system seldon-controller-manager
            ;;
        pachyderm) is_rolled_out pachyderm pachd && is_rolled_out pachyderm pachyderm-proxy ;;
        determined)
            is_rolled_out determined determined-master-deployment-determined &&
                kubectl get --raw "$determined_info" | grep -q "\"version\": *\"$2\""
            ;;
    esac
}

install() {
    for name in "$@"; do
        releases | grep -q "^$name " || fail "charts.txt has no release $name"
    done
    preflight
    prepare
    releases | while read -r release chart version namespace _; do
        case " ${*:-$release} " in *" $release "*) ;; *) continue ;; esac
        say "== $release $version"
        own_values "$release" | helm upgrade --install "$release" "$charts/$chart" --namespace "$namespace" \
            --values "$here/values/$release.yaml" --values - --wait --timeout "$limit" >/dev/null
        check "$release" "$version" </dev/null || fail "$release is installed but does not work; kubectl get pods -n $namespace"
    done
    say "== gateway"
    kubectl apply -k "$here/ingress"
    kubectl apply -f "$here/deployer.yaml"
    # Both webhooks, Istio's and Seldon's, read what will be deployed.
    kubectl apply --dry-run=server -k "$production"
    say "The cluster is ready.  Next: install.sh clients, then make data (deploy/cluster/README.md)."
}

# client NAMESPACE NAME TOKEN: a client's configuration of Pachyderm as a Secret, as pods of the cluster reach it.
client() {
    printf '{"v2":{"active_context":"cluster","contexts":{"cluster":{"pachd_address":"%s","session_token":"%s"}}}}' \
        grpc://pachd.pachyderm:30650 "$3" |
        secret "$1" "$2" Opaque --from-file=config.json
}

clients() {
    # In the arguments of a command a failure would pass unnoticed, and a Secret without a token replace a good one.
    trials=$(value PACHYDERM_ROBOT_TOKEN)
    feedback=$(value PACHYDERM_FEEDBACK_TOKEN)
    client determined pachyderm-client "$trials"
    # A release leaves it alone: its own would hold the token and the address of whoever releases.  One that an earlier
    # release made gives way.
    kubectl delete secret -n default -l app.kubernetes.io/managed-by=make-deploy \
        --field-selector=metadata.name=fashion-classifier-pachyderm
    client default fashion-classifier-pachyderm "$feedback"
}

case ${1:-} in
    pull) pull ;;
    install)
        shift
        install "$@"
        ;;
    clients) clients ;;
    *) fail "say pull, install or clients" ;;
esac
