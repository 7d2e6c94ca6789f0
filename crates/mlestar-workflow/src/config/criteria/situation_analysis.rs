//! What the gate of stage 1 asks for.

use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 1.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            id: "artifacts_complete",
            title: "analysis and exploration page exist and are complete",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Provide training, validation and test images of every class, and run the \
                     stage again: mlestar stage situation_analysis --force.",
        },
        Entry {
            id: "detectors_ran",
            title: "challenge detectors that ran and recorded their evidence",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage situation_analysis --force.",
        },
        Entry {
            id: "preprocessing_recommendations",
            title: "preprocessing recommendations that follow from a finding",
            unit: Unit::Count,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: mlestar stage situation_analysis --force.",
        },
        Entry {
            id: "classes_explored",
            title: "classes with samples on the exploration page",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Add training images to the classes that have none.",
        },
    ]
}
