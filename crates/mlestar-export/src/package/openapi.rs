//! The interface of a served package, in OpenAPI 3.1.

use super::Manifest;
use serde_json::{Map, Value, json};

/// The interface of `mlestar serve` for any package, as an OpenAPI document.
///
/// `mlestar-serve` answers with it, and its tests compare it with the routes.
#[must_use]
pub fn openapi() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mlestar-serve",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Classifies images with one model, over the Open Inference Protocol (version 2) or with image files.",
            "description": "Every answer bears X-Request-Id; a request may bring its own (1 to 64 letters, digits, - _ .). \
                            Errors are JSON: {\"error\": \"...\"}.",
        },
        "paths": paths(),
        "components": { "schemas": schemas(), "responses": responses(), "securitySchemes": {
            "token": { "type": "http", "scheme": "bearer", "description": "Only if the server was started with --token-file." },
        } },
        "security": [{}, { "token": [] }],
    })
}

/// The interface of this package when it is served as `name`: [`openapi`] with its classes and the size of its images.
///
/// ```
/// use mlestar_export::Preparation;
/// use mlestar_export::package::{Contents, openapi_of, write_package};
#[doc = include_str!("../doc_model.in")]
/// # let folder = tempfile::tempdir()?;
/// let package = folder.path().join("package");
/// let manifest = write_package(&package, &model, &Preparation::new(2, 2), &Contents::default())?;
/// let api = openapi_of(&manifest, "flags");
/// assert_eq!(api["components"]["schemas"]["Ranked"]["properties"]["class"]["enum"][1], "blue");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn openapi_of(manifest: &Manifest, name: &str) -> Value {
    let mut api = openapi();
    api["info"]["title"] = name.into();
    let class = json!({ "type": "string", "enum": manifest.classes });
    let schemas = &mut api["components"]["schemas"];
    schemas["Ranked"]["properties"]["class"] = class.clone();
    schemas["Explained"]["properties"]["class"] = class.clone();
    schemas["Answer"]["oneOf"][0]["properties"]["class"] = class;
    let (height, width) = (manifest.input.height, manifest.input.width);
    schemas["InferRequest"]["properties"]["inputs"]["items"]["properties"]["shape"]["description"] =
        format!("images: [n, {height}, {width}, 3]; raw: [n] or [n, 1]").into();
    let operations = api["paths"].as_object_mut().into_iter().flatten();
    for operation in operations
        .filter_map(|(_, path)| path.as_object_mut())
        .flatten()
    {
        let parameters = operation.1.get_mut("parameters");
        let parameters = parameters.and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            if parameter["in"] == "path" && parameter["name"] == "name" {
                parameter["schema"]["enum"] = json!([name]);
            }
        }
    }
    api
}

fn paths() -> Value {
    let mut paths = Map::new();
    let mut add = |path: &str, method: &str, operation: Value| {
        paths.insert(path.to_owned(), json!({ method: operation }));
    };
    add("/", "get", open(page("A page to classify images")));
    add("/docs", "get", open(page("This description as a page")));
    add(
        "/openapi.json",
        "get",
        open(reading("This description", json!({ "type": "object" }))),
    );
    add("/metrics", "get", metrics());
    add("/v1/classify", "post", classify());
    add("/v1/explain", "post", explain());
    add(
        "/v2",
        "get",
        reading(
            "Name, version and extensions of the server",
            refer("Server"),
        ),
    );
    add(
        "/v2/health/live",
        "get",
        open(reading("Whether the program runs", refer("Live"))),
    );
    let mut ready = open(reading("Whether the server takes requests", refer("Ready")));
    ready["responses"]["503"] = response("Refused");
    add("/v2/health/ready", "get", ready);
    add(
        "/v2/repository/index",
        "post",
        reading("The models of the server", refer("Index")),
    );
    for (version, versioned) in [("", false), ("/versions/{version}", true)] {
        let path = |rest: &str| format!("/v2/models/{{name}}{version}{rest}");
        let model = |operation: Value| of_model(operation, versioned);
        add(
            &path(""),
            "get",
            model(reading(
                "Inputs, outputs and classes of the model",
                refer("Model"),
            )),
        );
        let mut ready = reading("Whether the model is ready", refer("Ready"));
        ready["responses"]["503"] = response("Refused");
        add(&path("/ready"), "get", model(ready));
        let config = reading(
            "The model in the form of Triton's configuration",
            json!({ "type": "object" }),
        );
        add(&path("/config"), "get", model(config));
        add(&path("/infer"), "post", model(infer()));
    }
    Value::Object(paths)
}

fn refer(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn response(name: &str) -> Value {
    json!({ "$ref": format!("#/components/responses/{name}") })
}

/// An operation that needs no token.
fn open(mut operation: Value) -> Value {
    operation["security"] = json!([]);
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.remove("401");
    }
    operation
}

fn page(summary: &str) -> Value {
    json!({
        "summary": summary,
        "responses": { "200": { "description": "The page", "content": { "text/html": {} } } },
    })
}

fn reading(summary: &str, schema: Value) -> Value {
    json!({
        "summary": summary,
        "responses": {
            "200": { "description": summary, "content": { "application/json": { "schema": schema } } },
            "401": response("Refused"),
        },
    })
}

fn metrics() -> Value {
    let mut metrics = reading("Counts and times for Prometheus", Value::Null);
    metrics["responses"]["200"]["content"] =
        json!({ "application/openmetrics-text": { "schema": { "type": "string" } } });
    metrics
}

/// An operation of a model, found by its name and perhaps its version.
fn of_model(mut operation: Value, versioned: bool) -> Value {
    let parameter = |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    let mut parameters = vec![parameter("name")];
    if versioned {
        parameters.push(parameter("version"));
    }
    operation["parameters"] = Value::Array(parameters);
    operation["responses"]["404"] = response("Refused");
    operation
}

/// The statuses of a request with images that is refused.
fn refusals(mut operation: Value, statuses: &[&str]) -> Value {
    for status in [
        "400", "401", "408", "413", "415", "422", "500", "503", "504",
    ] {
        operation["responses"][status] = response("Refused");
    }
    operation["responses"]["429"] = response("Overloaded");
    for status in statuses {
        operation["responses"][*status] = response("Refused");
    }
    operation
}

fn number(name: &str, least: u64, most: u64, default: u64, description: &str) -> Value {
    let schema =
        json!({ "type": "integer", "minimum": least, "maximum": most, "default": default });
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

fn image_body() -> Value {
    let file = json!({ "description": "One PNG, JPEG, WebP, BMP or GIF file" });
    json!({ "image/*": { "schema": file.clone() }, "application/octet-stream": { "schema": file } })
}

fn classify() -> Value {
    let mut content = image_body();
    content["multipart/form-data"] = json!({ "schema": {
        "type": "object",
        "description": "Each part is one file",
        "additionalProperties": { "contentMediaType": "application/octet-stream" },
    } });
    refusals(
        json!({
            "summary": "Classify image files of any size",
            "description": "An image of several that cannot be decoded gets an error of its own; a single one gets 422.",
            "parameters": [number("top", 1, 1000, 3, "Classes for each image, most probable first")],
            "requestBody": { "required": true, "content": content },
            "responses": { "200": { "description": "A class for each image, in their order",
                "content": { "application/json": { "schema": refer("Classified") } } } },
        }),
        &[],
    )
}

fn explain() -> Value {
    refusals(
        json!({
            "summary": "Which places of an image the answer rests on",
            "description": "A grey patch covers each place of a grid in turn; a fall is what the class loses in probability.",
            "parameters": [number("grid", 2, 16, 7, "Rows and columns")],
            "requestBody": { "required": true, "content": image_body() },
            "responses": { "200": { "description": "The falls, row by row",
                "content": { "application/json": { "schema": refer("Explained") } } } },
        }),
        &[],
    )
}

fn infer() -> Value {
    refusals(
        json!({
            "summary": "Inference by the Open Inference Protocol",
            "description": "A body with binary tensors has the header Inference-Header-Content-Length, the number of bytes of \
                            JSON before them; so has the answer if an output was wanted as bytes.",
            "requestBody": { "required": true, "content": {
                "application/json": { "schema": refer("InferRequest") },
                "application/octet-stream": { "schema": { "description": "JSON and binary tensors" } },
            } },
            "responses": { "200": { "description": "The outputs", "content": {
                "application/json": { "schema": refer("InferResponse") },
                "application/octet-stream": { "schema": { "description": "JSON and binary tensors" } },
            } } },
        }),
        &[],
    )
}

fn responses() -> Value {
    let content = json!({ "application/json": { "schema": refer("Error") } });
    let seconds = json!({ "description": "Seconds", "schema": { "type": "integer" } });
    json!({
        "Refused": { "description": "Why the request was not answered", "content": content.clone() },
        "Overloaded": { "description": "Too much is waiting", "headers": { "Retry-After": seconds }, "content": content },
    })
}

/// An object with these required fields.
fn object(properties: Value) -> Value {
    let required: Vec<String> = properties
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn schemas() -> Value {
    let (text, whole) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
    );
    let share = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let shape = list(json!({ "type": "integer" }));
    let tensor = object(json!({ "name": text, "datatype": text, "shape": shape }));
    let mut schemas = json!({
        "Error": object(json!({ "error": text })),
        "Live": object(json!({ "live": { "type": "boolean" } })),
        "Ready": object(json!({ "ready": { "type": "boolean" } })),
        "Server": object(json!({ "name": text, "version": text, "extensions": list(text.clone()) })),
        "Model": object(json!({
            "name": text, "versions": list(text.clone()), "platform": text,
            "inputs": list(tensor.clone()), "outputs": list(tensor.clone()),
            "parameters": object(json!({ "classes": list(text.clone()) })),
        })),
        "Index": list(object(json!({ "name": text, "version": text, "state": text, "reason": text }))),
        "Ranked": object(json!({ "class_index": whole, "class": text, "probability": share })),
    });
    schemas["Classified"] =
        object(json!({ "model": text, "version": text, "images": list(refer("Answer")) }));
    schemas["Answer"] = answer_schema();
    schemas["Explained"] = object(json!({
        "class": text, "class_index": whole, "probability": share, "rows": whole, "columns": whole,
        "falls": list(list(json!({ "type": "number", "minimum": -1, "maximum": 1 }))),
    }));
    schemas["InferRequest"] = infer_request();
    schemas["InferResponse"] =
        object(json!({ "model_name": text, "model_version": text, "outputs": list(tensor) }));
    schemas
}

fn answer_schema() -> Value {
    let file = json!({ "type": ["string", "null"], "description": "The name of the part" });
    let classified = object(json!({
        "file": file, "class": { "type": "string" }, "class_index": { "type": "integer" },
        "probability": { "type": "number" }, "none_of_these": { "type": "boolean" },
        "familiarity": { "type": "number" }, "answers": { "type": "array", "items": refer("Ranked") },
    }));
    let failed = object(json!({ "file": file, "error": { "type": "string" } }));
    json!({ "oneOf": [classified, failed] })
}

fn infer_request() -> Value {
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": { "type": "string" },
            "parameters": { "type": "object", "properties": { "binary_data_output": { "type": "boolean" } } },
            "inputs": { "type": "array", "minItems": 1, "maxItems": 1, "items": {
                "type": "object",
                "required": ["name", "shape", "datatype"],
                "properties": {
                    "name": { "enum": ["images", "raw"] },
                    "shape": { "type": "array", "description": "images: [n, height, width, 3]; raw: [n] or [n, 1]" },
                    "datatype": { "enum": ["UINT8", "BYTES"] },
                    "data": { "type": "array", "description": "images: bytes, flat or nested; raw: files in base64" },
                    "parameters": { "type": "object", "properties": { "binary_data_size": { "type": "integer" } } },
                },
            } },
            "outputs": { "type": "array", "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": { "enum": ["logits", "probabilities", "familiarity", "none_of_these"] },
                    "parameters": { "type": "object", "properties": {
                        "binary_data": { "type": "boolean" },
                        "classification": { "type": "integer", "minimum": 0 },
                    } },
                },
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let description = openapi();
        let text = description.to_string();
        let mut n = 0;
        for rest in text.split("\"$ref\":\"#").skip(1) {
            let (pointer, _) = rest.split_once('"').unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer}");
            n += 1;
        }
        assert!(n > 20);
    }
}
