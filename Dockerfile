# syntax=docker/dockerfile:1
# Headwater with its bundled model:
#   docker build -t headwater . && docker run --rm -p 8080:8080 headwater

# The same Ubuntu release twice: the binary loads the C libraries that it was linked against.
ARG UBUNTU=noble
ARG SWIFT=6.3

FROM swift:${SWIFT}-${UBUNTU} AS build
WORKDIR /source
COPY deploy/packages deploy/packages
RUN bash -c 'source deploy/packages && install_packages "${build_packages[@]}"' && rm -rf /var/lib/apt/lists/*
# Tests only because SwiftPM reads no manifest whose test targets lack their folders; they aren't built.
COPY Package.swift openapi.yaml ./
COPY Tests Tests
COPY Plugins Plugins
COPY Sources Sources
# What the program says it was built from, since the context has no history:
#   docker build --build-arg HEADWATER_COMMIT="$(git rev-parse HEAD)" -t headwater .
ARG HEADWATER_COMMIT
# A folder of build products for each architecture, as a builder for several platforms has them all.
ARG TARGETARCH
RUN --mount=type=cache,id=headwater-$TARGETARCH,target=/source/.build,sharing=locked \
    swift build --configuration release --static-swift-stdlib --product headwater \
    && install -D .build/release/headwater /output/headwater \
    && strip --strip-all /output/headwater

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
