void contraction_0(dlc_team *team, const float *restrict p0, const float *restrict p1, const float *restrict p2, float *restrict p3, const int64_t n0)
{
    const dlc_range part = dlc_split(team, ((n0 + 5) / 6) * 4);
    for (int64_t p = part.begin; p < part.end; ++p) {
        const int64_t rb = p / 4;
        const int64_t nb = p % 4;
        float tile[96] DLC_ALIGNED;
        dlc_tile_contract(6, 16, 0, dlc_min(6, n0 - rb * 6), p0 + rb * 288, 48, 1, 0, 1, 0, 48, 1, p1 + nb * 768, 0, tile);
        for (int64_t i = 0; i < dlc_min(6, n0 - rb * 6); ++i) {
            const int64_t m = i + rb * 6;
            #pragma omp simd
            for (int64_t j = 0; j < 16; ++j) {
                p3[j + m * 64 + nb * 16] = dlc_maximum_f32(tile[i * 16 + j] + p2[j + nb * 16], 0.0f);
            }
        }
    }
}
