# Stand-in for redis:7-bookworm: Debian's Redis with the same user and folder.
FROM python:3.11-slim-bookworm
RUN groupadd --gid 999 redis && useradd --uid 999 --gid 999 --no-create-home redis \
 && apt-get -q update && apt-get -q install -y --no-install-recommends redis-server \
 && apt-get clean && rm -rf /var/lib/apt/lists/* && install -d -o 999 -g 999 /data
WORKDIR /data
CMD ["redis-server"]
