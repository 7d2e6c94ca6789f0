//! What the gate of stage 1 asks for.

use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 1.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            id: "artifacts_complete",
            title: "analysis and exploration page are there and whole",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Provide training, validation and test pictures of every class, and run the \
                     stage again: mlestar stage situation_analysis --force.",
        },
        Entry {
            id: "detectors_ran",
            title: "detectors of challenges that ran and left their evidence",
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
            remedy: "Add training pictures to the classes that have none.",
        },
    ]
}
