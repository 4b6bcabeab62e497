# One recipe, one target an image:
#   docker build --target server .     etcd, etcdctl and etcdutl, and nothing else: the default
#   docker build --target debug .      the same with a shell
#   docker build --target operator .   the Kubernetes operator, and quorate-backup, which its pods run
#
# The binaries are static, so that the images need no base. They come out of the stage `binaries`, which compiles them, or,
# with `--build-context binaries=FOLDER`, out of a folder in which scripts/image-root has laid them out: nothing is
# pulled then. `cargo xtask images` does that for the tests.

FROM docker.io/library/rust:1.95.0-bookworm AS binaries
RUN apt-get update && apt-get install --yes --no-install-recommends busybox-static ca-certificates
WORKDIR /source
COPY . .
# RocksDB's C++ takes ten minutes and stays in the builder's cache.
RUN --mount=type=cache,target=/cache QUORATE_CACHE=/cache make build && scripts/image-root bin /

FROM scratch AS server
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Quorate" \
      org.opencontainers.image.description="An etcd-compatible key-value server, with etcdctl and etcdutl" \
      org.opencontainers.image.source="https://github.com/quorate/quorate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binaries /image/server/ /
# The working folders of etcd's image, empty.
COPY --from=binaries --chown=65532:65532 /image/data/ /var/etcd/
COPY --from=binaries --chown=65532:65532 /image/data/ /var/lib/etcd/
ENV PATH=/usr/local/bin:/bin
# Relative paths, the default data folder among them, mean what they mean in etcd's image.
WORKDIR /var/lib/etcd
# As a number: Kubernetes cannot tell whether a name is root's.
USER 65532:65532
EXPOSE 2379 2380
CMD ["/usr/local/bin/etcd"]

FROM server AS debug
COPY --from=binaries /image/debug/ /

FROM scratch AS operator
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Quorate operator" \
      org.opencontainers.image.description="Runs clusters of Quorate on Kubernetes" \
      org.opencontainers.image.source="https://github.com/quorate/quorate" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binaries /image/operator/ /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/quorate-operator"]

# Without --target the last one is built.
FROM server
