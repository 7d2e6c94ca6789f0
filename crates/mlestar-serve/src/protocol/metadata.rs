//! What the protocol tells about the server and its model.

use super::{FILES_INPUT, PIXELS_INPUT};
use crate::model::ServedModel;
use serde_json::{Value, json};

/// The name of the server.
pub const SERVER: &str = "mlestar-serve";

/// The server: name, version and extensions of the protocol.
pub fn server() -> Value {
    json!({
        "name": SERVER,
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "classification", "model_configuration", "model_repository(index)"],
    })
}

/// The model: inputs, of which a request has one, and outputs; -1 stands for any number of images.
pub fn model(model: &ServedModel) -> Value {
    let (height, width) = model.size();
    let outputs = model.outputs().into_iter().map(|output| {
        json!({
            "name": output.name(),
            "datatype": output.datatype(),
            "shape": output.shape(-1, model.n_classes()),
        })
    });
    let outputs: Vec<Value> = outputs.collect();
    json!({
        "name": model.name,
        "versions": [model.version],
        "platform": "mlestar_package",
        "inputs": [
            { "name": PIXELS_INPUT, "datatype": "UINT8", "shape": [-1, height, width, 3] },
            { "name": FILES_INPUT, "datatype": "BYTES", "shape": [-1] },
        ],
        "outputs": outputs,
        "parameters": { "classes": model.manifest.classes },
    })
}

/// The model in the form of Triton's configuration, for its clients.
pub fn config(model: &ServedModel, max_batch: usize) -> Value {
    let (height, width) = model.size();
    let outputs = model.outputs().into_iter().map(|output| {
        let dims = match output.is_by_class() {
            true => model.n_classes(),
            false => 1,
        };
        json!({
            "name": output.name(),
            "data_type": format!("TYPE_{}", output.datatype()),
            "dims": [dims],
        })
    });
    let outputs: Vec<Value> = outputs.collect();
    json!({
        "name": model.name,
        "platform": "mlestar_package",
        "max_batch_size": max_batch,
        "input": [
            { "name": PIXELS_INPUT, "data_type": "TYPE_UINT8", "dims": [height, width, 3], "optional": true },
            { "name": FILES_INPUT, "data_type": "TYPE_STRING", "dims": [1], "optional": true },
        ],
        "output": outputs,
    })
}

/// The models of the server.
pub fn index(model: &ServedModel) -> Value {
    json!([{ "name": model.name, "version": model.version, "state": "READY", "reason": "" }])
}
