//! The memory of results, which returns to the shelf of [`memory`](crate::memory) with its tensor.

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
        // SAFETY: these are the bytes of the values. The caller writes only initialised ones, and all bit
        // patterns are valid `f32`.
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};
    use mlestar_random::Stream;

    use super::*;
    use crate::{
        Activation, Precision,
        backend::{
            Conv2dOptions, DepthwiseOptions, Windows, average_pool, batch_norm, conv2d,
            conv2d_fused, depthwise_conv2d, max_pool,
        },
    };

    #[test]
    fn the_memory_of_a_tensor_goes_to_the_next_one_of_its_size() {
        // A size that no other test uses.
        let shape = [3, 7_001];
        let mut buffer = Buffer::new(shape.iter().product());
        buffer.as_mut_slice().fill(2.5);
        let address = buffer.as_slice().as_ptr();
        let first = tensor(buffer, shape);
        assert!(first.as_slice::<f32>().unwrap().iter().all(|&v| v == 2.5));
        let second = first.clone();
        drop(first);
        // One of the two is still in use.
        assert_ne!(Buffer::new(3 * 7_001).as_slice().as_ptr(), address);
        drop(second);
        let both = [(); 2].map(|()| Buffer::new(3 * 7_001));
        assert!(
            both.iter()
                .any(|buffer| buffer.as_slice().as_ptr() == address)
        );
    }

    /// Unit tests use memory full of NaN, so that values a kernel leaves out are detected.
    #[test]
    fn operations_write_all_of_their_results() {
        let device = Device::flex().autodiff();
        let mut stream = Stream::new(1, "whole results", 0, 0);
        let mut random =
            |len: usize| -> Vec<f32> { (0..len).map(|_| stream.normal() as f32).collect() };
        let finite = |values: Vec<f32>, what: &str| {
            assert!(values.iter().all(|value| value.is_finite()), "{what}");
        };
        let host = |x: Tensor<4>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        // Odd sizes; channels for Winograd and blocks with an incomplete panel, and for the direct algorithm;
        // enough images for a matrix unit.
        for (channels, stride, precision) in [
            ([16, 48], 1, Precision::F32),
            ([16, 48], 1, Precision::Bfloat16),
            ([5, 33], 2, Precision::F32),
        ] {
            let mut leaf = |shape: [usize; 4]| {
                let values = random(shape.iter().product());
                Tensor::<4>::from_data(TensorData::new(values, shape), &device).require_grad()
            };
            let x = leaf([13, 11, 7, channels[0]]);
            let weight = leaf([channels[1], channels[0], 3, 3]);
            let options = Conv2dOptions {
                stride: [stride; 2],
                padding: [1, 1].into(),
                dilation: [1, 1],
                precision,
            };
            let y = conv2d(x.clone(), weight.clone(), options);
            finite(host(y.clone()), "convolution");
            let residual = leaf(y.dims());
            let ones = Tensor::<1>::ones([channels[1]], &device);
            let silu = Some(Activation::Silu);
            let y = batch_norm(
                y,
                ones.clone(),
                ones.clone(),
                Some(residual.clone()),
                1e-5,
                silu,
            );
            finite(host(y.output.clone()), "batch norm");
            let pooled = max_pool(y.output, Windows::side_by_side(2));
            finite(host(pooled.clone()), "max pool");
            let plain = batch_norm(pooled, ones.clone(), ones.clone(), None, 1e-5, None);
            let loss = average_pool(plain.output).powi_scalar(2).sum();
            let gradients = loss.backward();
            for (leaf, what) in [(&x, "input"), (&weight, "weight"), (&residual, "residual")] {
                let gradient = leaf.grad(&gradients).unwrap();
                finite(gradient.into_data().iter::<f32>().collect(), what);
            }
            let depthwise = DepthwiseOptions {
                stride: [stride; 2],
                padding: [1, 1].into(),
            };
            let kernels = leaf([channels[0], 1, 3, 3]);
            let y = depthwise_conv2d(x.clone(), kernels.clone(), depthwise);
            let gradients = y.clone().sum().backward();
            finite(host(y), "depthwise convolution");
            for (leaf, what) in [(&x, "input"), (&kernels, "weight")] {
                let gradient = leaf.grad(&gradients).unwrap();
                finite(gradient.into_data().iter::<f32>().collect(), what);
            }
            let [x, weight] = [x, weight].map(Tensor::inner);
            let fused = conv2d_fused(x, weight, ones.inner(), None, silu, options);
            finite(host(fused), "fused convolution");
        }
    }
}
