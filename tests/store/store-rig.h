// Shared by the tests of the store: a scratch folder, a file with known records, and what is read from it.
#pragma once

#include "store/store-file.h"
#include "support/fixtures.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace rknpu::test {

using bytes = std::vector<uint8_t>;

inline bytes read_all(const std::string & path) {
    std::ifstream in(path, std::ios::binary);
    return bytes(std::istreambuf_iterator<char>(in), {});
}
inline void write_all(const std::string & path, const bytes & content) {
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char *>(content.data()), std::streamsize(content.size()));
}
inline bytes random_bytes(std::mt19937 & random, size_t count) {
    bytes b(count);
    for (auto & byte : b)
        byte = uint8_t(random());
    return b;
}

struct known_record {
    hash128 key;
    std::string facts;
    bytes payload;
};

// Cuts of the payload at random places, some of them empty.
inline std::vector<byte_range> cut(std::mt19937 & random, bytes & payload) {
    std::vector<byte_range> ranges;
    for (size_t at = 0; at < payload.size();) {
        const size_t n = std::min<size_t>(payload.size() - at, random() % (payload.size() / 2 + 2));
        ranges.push_back({payload.data() + at, n});
        at += n;
    }
    return ranges;
}

class store_test : public testing::Test {
protected:
    std::mt19937 random{seed()};
    testing::ScopedTrace trace{__FILE__, __LINE__, seed_line()};
    const std::string folder = testing::TempDir() + "rknpu-store-" + std::to_string(getpid());

    void SetUp() override { std::filesystem::create_directories(folder); }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::vector<known_record> make_records(const std::vector<size_t> & sizes) {
        std::vector<known_record> records;
        for (const size_t size : sizes)
            records.push_back({{random(), random()}, std::string(size % 37, 'f'), random_bytes(random, size)});
        return records;
    }
    void add(store_writer & w, std::vector<known_record> & records, size_t first, size_t last) {
        for (size_t i = first; i < last; i++) {
            const status s = w.add(records[i].key, records[i].facts, cut(random, records[i].payload));
            ASSERT_TRUE(s.ok()) << s.message();
        }
    }
    void write(const std::string & path, std::vector<known_record> & records) {
        auto w = store_writer::open(path);
        ASSERT_TRUE(w.ok()) << w.status().message();
        add(w.value(), records, 0, records.size());
        ASSERT_TRUE(w.value().finish().ok());
    }
    // The number of records that are read as they were written; none may be read as anything else.
    size_t count_readable(const std::string & path, const std::vector<known_record> & records) {
        const auto file = store_file::open(path);
        if (!file.ok()) return 0;
        size_t n = 0;
        for (const store_record & r : file.value().records()) {
            const auto known =
                std::find_if(records.begin(), records.end(), [&](const auto & k) { return k.key == r.key; });
            bytes payload(r.bytes, 0xee);
            if (!file.value().read(r, cut(random, payload)).ok()) continue;
            EXPECT_TRUE(known != records.end() && known->payload == payload && known->facts == r.facts);
            n++;
        }
        return n;
    }
};

} // namespace rknpu::test
