//! Assigns the buffers of the graph to memory slots.

use super::forms::Form;
use crate::frozen::FrozenModel;

/// Assigns every buffer a slot of memory; a slot is reused by buffers of its form after its buffer has been read for
/// the last time. The output of an operation never shares a slot with its inputs.
///
/// Returns the slot of each buffer, the values of an image in each slot, and the form of each slot.
pub(super) fn assign_slots(
    model: &FrozenModel,
    forms: &[Form],
) -> (Vec<usize>, Vec<usize>, Vec<Form>) {
    let shapes = model.buffer_shapes();
    let mut last_read = vec![0; shapes.len()];
    for (index, operation) in model.operations().iter().enumerate() {
        last_read[operation.input] = index;
        if let Some(buffer) = operation.layer.added_buffer() {
            last_read[buffer] = index;
        }
    }
    let size = |buffer: usize| shapes[buffer].iter().product::<usize>();
    let mut slots = vec![0];
    let mut slot_sizes = vec![size(0)];
    let mut holders = vec![0];
    for index in 0..model.operations().len() {
        let buffer = index + 1;
        // A slot is free for this output if an earlier operation was the last to read its buffer. Of the free
        // ones, the one with the closest size is used.
        let free = (0..holders.len())
            .filter(|&slot| last_read[holders[slot]] < index)
            .filter(|&slot| forms[holders[slot]].shares_memory_with(forms[buffer]))
            .min_by_key(|&slot| slot_sizes[slot].abs_diff(size(buffer)));
        let slot = free.unwrap_or(holders.len());
        if slot == holders.len() {
            holders.push(buffer);
            slot_sizes.push(size(buffer));
        } else {
            holders[slot] = buffer;
            slot_sizes[slot] = slot_sizes[slot].max(size(buffer));
        }
        slots.push(slot);
    }
    let slot_forms = holders.iter().map(|&buffer| forms[buffer]).collect();
    (slots, slot_sizes, slot_forms)
}
