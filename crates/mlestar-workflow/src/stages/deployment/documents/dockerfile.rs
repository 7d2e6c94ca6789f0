//! The recipe of a container. It copies every file of the package, because the server checks them all.

use super::Facts;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let name = facts.service_name();
    format!(
        "# A container with nothing but the server and this package. In a clone of MLE-Star, build the server as a\n\
         # static binary and copy it here:\n\
         #   RUSTFLAGS=\"-C target-feature=+crt-static\" \\\n\
         #     cargo build --release -p mlestar-serve --bin mlestar-serve --target x86_64-unknown-linux-gnu\n\
         #   cp target/x86_64-unknown-linux-gnu/release/mlestar-serve PACKAGE/\n\
         # Then, in the folder of the package:\n\
         #   docker build -f deploy/Dockerfile -t {name} .\n\
         #   docker run -p 8080:8080 {name}\n\
         FROM scratch\n\
         COPY mlestar-serve /mlestar-serve\n\
         COPY manifest.json README.md model.* /package/\n\
         COPY deploy /package/deploy\n\
         COPY docs /package/docs\n\
         COPY golden /package/golden\n\
         USER 65532:65532\n\
         EXPOSE 8080\n\
         ENTRYPOINT [\"/mlestar-serve\", \"/package\", \"--host\", \"0.0.0.0\", \"--port\", \"8080\"]\n"
    )
}
