//! The memory of results, which goes back to the shelf of [`memory`](crate::memory) with its tensor.

use std::mem::MaybeUninit;

use burn_flex::{FlexTensor, Layout};
use burn_std::{
    AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes, DType, Shape,
};

use crate::memory::Buffer;

struct Storage(Buffer);

impl AllocationController for Storage {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(
        &mut self,
        _policy: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let values = self.0.as_mut_slice();
        // SAFETY: these are the bytes of the values. The caller writes nothing but initialised ones, and any
        // are an `f32`.
        Ok(unsafe {
            std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values))
        })
    }

    fn memory(&self, _policy: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let values = self.0.as_slice();
        // SAFETY: these are the bytes of the values.
        Ok(unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) })
    }
}

/// The values of `buffer` as a tensor of this shape.
pub(super) fn tensor<const D: usize>(buffer: Buffer, shape: [usize; D]) -> FlexTensor {
    let bytes = size_of_val(buffer.as_slice());
    // SAFETY: all values of a buffer are initialised.
    let bytes = unsafe { Bytes::from_controller(Box::new(Storage(buffer)), bytes) };
    FlexTensor::new(bytes, Layout::contiguous(Shape::from(shape)), DType::F32)
}
