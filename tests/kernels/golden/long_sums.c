void pack_0(dlc_team *team, const float *restrict p0, float *restrict p1)
{
    const dlc_range part = dlc_split(team, 8);
    for (int64_t nb = part.begin; nb < part.end; ++nb) {
        dlc_pack_panel(p0 + nb * 8, 64, 1, 20000, 64 - nb * 8, 8, p1 + nb * 160000);
    }
}

void blocked_1(dlc_team *team, const float *restrict p0, const float *restrict p1, float *restrict p2)
{
    float *restrict const sums = (float *)team->scratch;
    const dlc_range part = dlc_split(team, 4);
    for (int64_t p = part.begin; p < part.end; ++p) {
        const int64_t rc = p / 2;
        const int64_t nc = p % 2;
        #pragma omp simd
        for (int64_t z = 0; z < 1344; ++z) {
            sums[z] = 0.0f;
        }
        for (int64_t kb = 0; kb < 40; ++kb) {
            for (int64_t nb = 0; nb < 4; ++nb) {
                for (int64_t rb = 0; rb < dlc_min(5 - rc * 3, 3); ++rb) {
                    dlc_tile_contract(14, 8, 1, dlc_min(70 - rb * 14 - rc * 42, 14), p0 + kb * 35000 + rb * 14 + rc * 42, 1, 1, 0, 1, 0, 500, 70, p1 + kb * 4000 + nb * 160000 + nc * 640000, 0, sums + nb * 336 + rb * 112);
                }
            }
        }
        for (int64_t nb = 0; nb < 4; ++nb) {
            for (int64_t rb = 0; rb < dlc_min(5 - rc * 3, 3); ++rb) {
                for (int64_t i = 0; i < dlc_min(70 - rb * 14 - rc * 42, 14); ++i) {
                    const int64_t m = i + rb * 14 + rc * 42;
                    #pragma omp simd
                    for (int64_t j = 0; j < 8; ++j) {
                        p2[j + m * 64 + nb * 8 + nc * 32] = sums[i * 8 + j + nb * 336 + rb * 112] * 0.5f;
                    }
                }
            }
        }
    }
}
