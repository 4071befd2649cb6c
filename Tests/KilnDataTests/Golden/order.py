"""The order of 8 samples for (seed 1, epoch 0), computed apart from the library: python3 order.py."""
MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, state):
        self.state = state

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


def order(count, seed, epoch):
    generator = SplitMix64(seed)
    generator.state = generator.next() ^ epoch
    generator.state = generator.next()
    values = list(range(count))
    for i in range(count - 1, 0, -1):
        bound = i + 1
        while True:
            product = generator.next() * bound
            if (product & MASK) >= (1 << 64) % bound:
                break
        j = product >> 64
        values[i], values[j] = values[j], values[i]
    return values


print(order(8, 1, 0))
