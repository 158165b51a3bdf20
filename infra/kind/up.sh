#!/bin/sh
# Outcry on kind, from nothing to an exchange that takes orders: up.sh [RELEASE]
#
# Needs docker, kind, kubectl and helm. Makes the kind cluster "outcry" where it is not there, builds both images, loads
# them, installs the chart with values-kind.yaml and forwards its ports until Ctrl-C. Run it again after a change.
# TAG names the images (default: the state of the checkout), KIND_CLUSTER another cluster, VALUES more of helm's words.
set -eu
release=${1:-outcry}
cluster=${KIND_CLUSTER:-outcry}
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
tag=${TAG:-$(git -C "$root" describe --always --dirty 2>/dev/null || echo dev)}

for tool in docker kind kubectl helm; do
    command -v "$tool" >/dev/null 2>&1 || missing="${missing:-} $tool"
done
if [ -n "${missing:-}" ]; then
    echo "kind/up.sh: missing:$missing. See https://kind.sigs.k8s.io/docs/user/quick-start/ and https://helm.sh/docs/intro/install/" >&2
    exit 3
fi

kind get clusters 2>/dev/null | grep -qx "$cluster" || kind create cluster --name "$cluster" --config "$root/infra/kind/cluster.yaml"
kubectl config use-context "kind-$cluster" >/dev/null
for image in services operator; do
    case $image in services) name=outcry ;; *) name=outcry-$image ;; esac
    docker build --quiet --file "$root/infra/images/$image/Dockerfile" --build-arg "VERSION=$tag" --tag "$name:$tag" "$root" >/dev/null
    kind load docker-image --name "$cluster" "$name:$tag"
done

# shellcheck disable=SC2086  # VALUES are words
helm upgrade --install "$release" "$root/charts/outcry" --values "$root/charts/outcry/values-kind.yaml" \
    --set "image.tag=$tag" --set "operator.image.tag=$tag" --wait --timeout 5m ${VALUES:-}
helm test "$release"

echo "REST and WebSocket API: http://127.0.0.1:8080/   market streams: ws://127.0.0.1:8090/   Ctrl-C ends the forwarding only."
forward() {
    service=$(kubectl get service --output name \
        --selector "app.kubernetes.io/instance=$release,app.kubernetes.io/component=$1,outcry.dev/track!=canary" | head -1)
    kubectl port-forward "$service" "$2" >/dev/null &
}
trap 'kill 0' INT TERM
forward api 8080:8080
forward stream 8090:8090
wait
