void winograd_0(dlc_team *team, const float *restrict p0, const float *restrict p1, float *restrict p2, const int64_t n0)
{
    float *restrict const v = (float *)team->scratch;
    float *restrict const sums = (float *)team->scratch + 12672;
    int64_t held = -1;
    const dlc_range part = dlc_split(team, ((n0 * 7 + 13) / 14) + n0 * 3);
    for (int64_t p = part.begin; p < part.end; ++p) {
        const int64_t block = p;
        const int64_t here = dlc_min(n0 * 49 - block * 14, 14);
        if (held != block) {
            for (int64_t t = 0; t < here; ++t) {
                const int64_t n = ((t / 7) + block * 2) / 7;
                const int64_t ty = ((t / 7) + block * 2) % 7;
                const int64_t tx = t % 7;
                dlc_winograd_input(6, 6, 4, p0 + n * 21600 + tx * 96 + ty * 2880, 720, 24, 30 - ty * 4, 30 - tx * 4, 24, v + t * 24, 352);
            }
            held = block;
        }
        for (int64_t q = 0; q < 36; ++q) {
            for (int64_t rb = 0; rb < (here + 1) / 2; ++rb) {
                dlc_tile_contract(2, 40, 0, dlc_min(2, here - rb * 2), v + q * 352 + rb * 48, 24, 1, 0, 1, 0, 24, 1, p1 + q * 960, 0, sums + q * 576 + rb * 80);
            }
        }
        for (int64_t t = 0; t < here; ++t) {
            const int64_t n = ((t / 7) + block * 2) / 7;
            const int64_t ty = ((t / 7) + block * 2) % 7;
            const int64_t tx = t % 7;
            float tile[640] DLC_ALIGNED;
            dlc_winograd_output(4, 4, 6, 6, 40, sums + t * 40, 576, tile);
            for (int64_t y = 0; y < 4; ++y) {
                for (int64_t x = 0; x < 4; ++x) {
                    #pragma omp simd
                    for (int64_t j = 0; j < 40; ++j) {
                        p2[j + n * 31360 + tx * 160 + ty * 4480 + x * 40 + y * 1120] = dlc_maximum_f32(tile[j + x * 40 + y * 160], 0.0f);
                    }
                }
            }
        }
    }
}
