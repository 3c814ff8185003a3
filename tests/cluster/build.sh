#!/usr/bin/env bash
# Builds Kubernetes 1.20.2 from Debian's own source package, once: kube-apiserver, controller
# manager, scheduler, kubelet, kube-proxy. Debian has kubectl only as a binary. Takes about a quarter
# of an hour on two quiet cores, 3 GB of disk, and root for the packages.
set -euo pipefail

here="$(cd "$(dirname "$0")" && pwd)"
home="${SENTINODE_CLUSTER_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sentinode-cluster}"
programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy)

built() {
  local program
  for program in "${programs[@]}" pause; do [ -x "$home/bin/$program" ] || return 1; done
}
built && exit 0
mkdir -p "$home"/{apt/lists/partial,apt/archives/partial,bin,go}

wanted=(golang-go etcd-server rsync jq dpkg-dev ca-certificates conntrack iptables iproute2 openssl)
command -v kubectl >/dev/null || wanted+=(kubernetes-client)
if ! dpkg -s "${wanted[@]}" >/dev/null 2>&1; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}"
fi

# A private state of apt, so that the machine's own sources stay as they are.
cd "$home/apt"
mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
  'Codename: bookworm' | sort -u | head -n 1)}"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" \
  > sources.list
options=(-o "Dir::Etc::sourcelist=$PWD/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD" -o APT::Get::List-Cleanup=0
  -o APT::Sandbox::User=root)
apt-get "${options[@]}" update -q
apt-get "${options[@]}" -q source --download-only kubernetes
[ -d "$home/source" ] || dpkg-source --no-check -x kubernetes_*.dsc "$home/source"

cd "$home/source"
export GO111MODULE=off GOPATH="$home/go" GOCACHE="$home/go/cache" GOFLAGS="-p=${JOBS:-2}"
# The source says nothing of its version; the API server's discovery shows this one.
export KUBE_GIT_TREE_STATE=archive KUBE_GIT_VERSION=v1.20.2 KUBE_GIT_MAJOR=1 KUBE_GIT_MINOR=20
export KUBE_GIT_COMMIT=faecb196815e248d3ecfb03c680a4507229c2a56
# Without C, as the others are, so that nothing is compiled twice.
export KUBE_STATIC_OVERRIDES=kubelet
targets="${programs[*]/#/cmd/}"
make all WHAT="$targets"
for program in "${programs[@]}"; do
  install -m755 "_output/local/bin/linux/$(go env GOARCH)/$program" "$home/bin/"
done
"$home/bin/kube-apiserver" --version

# The pod's first container, which every node brings along.
CGO_ENABLED=0 go build -o "$home/bin/pause" "$here/pause.go"
