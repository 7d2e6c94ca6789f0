//! Draws that depend only on their purpose: the same crop of the same image, in any order.

use mlestar_random::Stream;

fn main() {
    let seed = 7;
    let crop = |epoch, index| {
        let mut stream = Stream::new(seed, "augmentation", epoch, index);
        (stream.below(9), stream.below(9))
    };
    for epoch in 0..2 {
        for index in [0, 1, 49_999] {
            let (dy, dx) = crop(epoch, index);
            println!("epoch {epoch}, image {index}: crop at ({dy}, {dx})");
        }
    }
    assert_eq!(crop(1, 49_999), crop(1, 49_999));

    let mut order: Vec<usize> = (0..8).collect();
    Stream::new(seed, "order", 0, 0).shuffle(&mut order);
    println!("the order of epoch 0: {order:?}");
}
