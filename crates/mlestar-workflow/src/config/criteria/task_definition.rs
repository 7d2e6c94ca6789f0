//! What the gate of stage 2 asks for.

use super::Entry;
use mlestar_gates::{Limit, Unit};

/// The criteria of stage 2.
pub(super) fn entries() -> Vec<Entry> {
    vec![
        Entry {
            id: "measurable_targets",
            title: "targets that can be measured",
            unit: Unit::Fraction,
            limit: Limit::Equals(1.0),
            remedy: "Provide test images, and targets above 0.",
        },
        Entry {
            id: "realistic_targets",
            title: "targets between a blind guess and what the labels allow",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "feasibility_report.html names the bound or the risk. Change [task.primary] or \
                [task.secondary], check the suspected labels, or collect more images.",
        },
        Entry {
            id: "feasible_constraints",
            title: "constraints that the measurements allow",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "feasibility_report.html names the figure and how to lower it. Otherwise change \
                [task.constraints].",
        },
        Entry {
            id: "quality_requirements_consistent",
            title: "requirements and targets are consistent",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "feasibility_report.html names the two keys that contradict each other.",
        },
    ]
}
