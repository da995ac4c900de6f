# syntax=docker/dockerfile:1
# Headwater with its bundled model:
#   docker build -t headwater . && docker run --rm -p 8080:8080 headwater
# For both architectures, in a registry:
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/headwater --push .

# All stages use one Ubuntu release, because the binary loads the C libraries that it was linked against.
ARG UBUNTU=noble
ARG SWIFT=6.3

# The libraries that the program is compiled against, for the target architecture.
FROM swift:${SWIFT}-${UBUNTU} AS libraries
COPY deploy/packages deploy/prepare-sysroot deploy/
RUN bash deploy/prepare-sysroot && rm -rf /var/lib/apt/lists/*

# The compiler runs on the builder's own processor: emulated, it would take thirty times as long.
FROM --platform=$BUILDPLATFORM swift:${SWIFT}-${UBUNTU} AS build
WORKDIR /source
# Tests only because SwiftPM reads no manifest whose test targets lack their folders; they aren't built.
COPY Package.swift openapi.yaml ./
# The program embeds openapi.yaml and docs/api.md.
COPY docs/api.md docs/
COPY Tests Tests
COPY Plugins Plugins
COPY Sources Sources
COPY deploy/swift-sdk deploy/build-release deploy/
# What the program says it was built from, since the context has no history:
#   docker build --build-arg HEADWATER_COMMIT="$(git rev-parse HEAD)" -t headwater .
ARG HEADWATER_COMMIT
# One build cache per architecture, because a multi-platform builder builds them all.
ARG TARGETARCH
RUN --mount=type=bind,from=libraries,target=/sysroot \
    --mount=type=cache,id=headwater-$TARGETARCH,target=/source/.build,sharing=locked \
    bash deploy/swift-sdk "$TARGETARCH" /sysroot /sdks \
    && bash deploy/build-release /output/headwater --swift-sdks-path /sdks --swift-sdk "$TARGETARCH"

FROM ubuntu:${UBUNTU} AS runtime
COPY deploy/packages deploy/assemble-image /usr/local/share/headwater/
RUN bash -c 'source /usr/local/share/headwater/packages && install_packages "${runtime_packages[@]}"'
COPY --from=build /output/headwater /usr/local/bin/headwater
RUN bash /usr/local/share/headwater/assemble-image /usr/local/bin/headwater /image
COPY LICENSE /image/usr/local/share/headwater/LICENSE

# The binary and the libraries that it loads: no shell, no package manager.
FROM scratch
ARG HEADWATER_COMMIT=unknown
LABEL org.opencontainers.image.title="Headwater" \
    org.opencontainers.image.revision="$HEADWATER_COMMIT" \
    org.opencontainers.image.description="Image embeddings and class logits from a flow-matching model run in reverse" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=runtime /image /
ENV PATH=/usr/local/bin
# By number, so that Kubernetes can see that it isn't root.
USER 10001:10001
WORKDIR /var/lib/headwater
# The service. The admin listener (8081) stays on the container's loopback and is not published.
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["headwater", "health"]
ENTRYPOINT ["headwater"]
CMD ["serve", "--host", "0.0.0.0"]
