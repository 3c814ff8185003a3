#!/usr/bin/env bash
# Makes a base image for machines that reach no image registry, under the name that the Dockerfiles
# and docker-compose.yml use: Debian with Python 3.11. ARCH=arm64 makes that of the other
# architecture (needs qemu-user-static with binfmt). Needs root, debootstrap and Docker.
#
#   tests/containers/base.sh [FOLDER for the root file system]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

arch="${ARCH:-$(dpkg --print-architecture)}"
suite="${SUITE:-bookworm}"
# That of this machine, unless told.
mirror="${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
  "Codename: $suite" | sort -u | head -n 1)}"
root="${1:-/var/tmp/sentinode-base-$arch}"
tag="${TAG:-python:3.11-slim-bookworm}"
authorities=/etc/ssl/certs/ca-certificates.crt

[ -e "$root/etc/debian_version" ] ||
  debootstrap --arch="$arch" --variant=minbase "$suite" "$root" "$mirror"
chroot "$root" sh -eu -c '
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q update
  apt-get -q install -y --no-install-recommends python3 python3-venv ca-certificates
  rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED
  ln -sf python3 /usr/bin/python
  apt-get clean
  rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*.log /usr/share/info
  find /usr/share/doc -type f ! -name copyright -delete
  rm -rf /usr/share/man/* /usr/share/locale/* /usr/share/i18n /var/cache/debconf/*-old'
# Where a proxy re-signs what is downloaded, this machine knows its authority and pip must too.
install -m644 "$authorities" "$root$authorities"
printf '[global]\ncert = %s\n' "$authorities" > "$root/etc/pip.conf"

tar -C "$root" --one-file-system --exclude=./proc/* --exclude=./sys/* -cf - . | docker import \
  --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' \
  --change "ENV SSL_CERT_FILE=$authorities" --change "ENV NODE_EXTRA_CA_CERTS=$authorities" \
  - "$tag" >/dev/null
[ "$arch" = "$(dpkg --print-architecture)" ] || python3 "$here/relabel.py" "$tag" "$arch"
echo "$tag ($arch): $(docker image inspect --format '{{.Size}}' "$tag" | numfmt --to=si)B"
