// The stream of numpy.random.RandomState(seed), which numpy froze for good: Python and the page draw the same numbers.
// Uniform variates by Matsumoto and Nishimura's Mersenne twister (1998), normal ones by Marsaglia's polar method.
export function randomState(seed) {
  const words = new Uint32Array(624);
  let used = 624;
  let spare;
  words[0] = seed;
  for (let i = 1; i < 624; i++) words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;

  const word = () => {
    if (used === 624) {
      for (let i = 0; i < 624; i++) {
        const joined = (words[i] & 0x80000000) | (words[(i + 1) % 624] & 0x7fffffff);
        words[i] = words[(i + 397) % 624] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
      }
      used = 0;
    }
    let y = words[used++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };

  // 53 bits in [0, 1)
  const uniform = () => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53;

  const normal = () => {
    if (spare !== undefined) {
      const kept = spare;
      spare = undefined;
      return kept;
    }
    let x, y, square;
    do {
      x = 2 * uniform() - 1;
      y = 2 * uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const scale = Math.sqrt((-2 * Math.log(square)) / square);
    spare = scale * x;
    return scale * y;
  };

  return { uniform, normal };
}
