// The file of packed weights: what is read is what was written, or is refused. Damage is made by a seeded stream.
#include "store-rig.h"

#include <atomic>
#include <cstring>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>

namespace rknpu {
namespace {

using test::bytes;
using test::known_record;

class store_file_test : public test::store_test {
protected:
    const std::string path = folder + "/a.rknpu";
};

TEST_F(store_file_test, records_of_all_sizes_come_back) {
    auto records = make_records({0, 1, 63, 4096, (1 << 20) - 1, 1 << 20, (3 << 20) + 5, 77});
    write(path, records);
    EXPECT_FALSE(std::filesystem::exists(store_partial_path(path)));
    const auto file = store_file::open(path);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_TRUE(file.value().finished());
    EXPECT_EQ(file.value().problem(), "");
    for (const store_record & r : file.value().records())
        EXPECT_EQ(r.offset % 64, 0u);
    EXPECT_EQ(count_readable(path, records), records.size());
}

TEST_F(store_file_test, the_bytes_of_version_1_are_these) {
    std::vector<known_record> records = {{{1, 2}, "ab", {3, 4, 5}}};
    write(path, records);
    const bytes file = test::read_all(path);
    // Written by this test's first version and compared with docs/store-format.md by hand.
    ASSERT_EQ(file.size(), 128u + 3 + 40);
    EXPECT_EQ(std::string(file.begin(), file.begin() + 8), "rknpupak");
    EXPECT_EQ(file[8], 1);
    EXPECT_EQ(std::string(file.begin() + 24, file.begin() + 28), "rec1");
    EXPECT_EQ(file[28], 104) << "the record's head ends where the payload begins";
    EXPECT_EQ(file[32], 1) << "key, low half";
    EXPECT_EQ(file[40], 2);
    EXPECT_EQ(file[48], 3) << "bytes of payload";
    EXPECT_EQ(file[56], 2) << "bytes of facts";
    EXPECT_EQ(std::string(file.begin() + 64, file.begin() + 66), "ab");
    EXPECT_EQ(bytes(file.begin() + 128, file.begin() + 131), (bytes{3, 4, 5}));
    EXPECT_EQ(std::string(file.begin() + 131, file.begin() + 135), "end1");
    EXPECT_EQ(hash_of(file.data(), file.size()).text(), "683015a6a8c55c83cd9601e6c8515534");
}

TEST_F(store_file_test, writing_goes_on_where_it_was_interrupted) {
    auto records = make_records({1000, 2000000, 3000, 4000});
    {
        auto w = store_writer::open(path);
        ASSERT_TRUE(w.ok());
        add(w.value(), records, 0, 3);
        EXPECT_EQ(store_writer::open(path).status().code(), errc::out_of_memory) << "two programs write one file";
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    const std::string partial = store_partial_path(path);
    EXPECT_EQ(count_readable(partial, records), 3u) << "what is whole is of use already";
    std::filesystem::resize_file(partial, std::filesystem::file_size(partial) - 1);
    {
        auto w = store_writer::open(path);
        ASSERT_TRUE(w.ok());
        ASSERT_EQ(w.value().keys(), (std::vector<hash128>{records[0].key, records[1].key}));
        add(w.value(), records, 2, 4);
        ASSERT_TRUE(w.value().finish().ok());
    }
    const auto file = store_file::open(path);
    ASSERT_TRUE(file.ok());
    EXPECT_TRUE(file.value().finished());
    EXPECT_EQ(count_readable(path, records), records.size());
}

TEST_F(store_file_test, who_only_goes_on_makes_no_new_file) {
    EXPECT_EQ(store_writer::open(path, store_writer::begin::on_only).status().code(), errc::not_found);
    EXPECT_FALSE(std::filesystem::exists(store_partial_path(path)));
    auto records = make_records({100});
    write(path, records);
    const bytes whole = test::read_all(path);
    auto w = store_writer::open(path);
    ASSERT_TRUE(w.ok());
    EXPECT_NE(w.value().finish(store_writer::name::keep).message().find("another program has just written"),
              std::string::npos);
    EXPECT_EQ(test::read_all(path), whole);
}

// One finishes and lets go while the other opens: the lock it then gets is that of the finished file.
TEST_F(store_file_test, writers_that_race_never_empty_a_finished_file) {
    auto records = make_records({100, 2000});
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop)
            (void)store_writer::open(path, store_writer::begin::on_only);
    });
    for (int i = 0; i < 300; i++) {
        auto w = store_writer::open(path);
        if (!w.ok()) continue; // the other one has it
        for (size_t r = w.value().keys().size(); r < records.size(); r++)
            add(w.value(), records, r, r + 1);
        ASSERT_TRUE(w.value().finish().ok());
        w = status(errc::not_found, "closed");
        EXPECT_EQ(count_readable(path, records), records.size());
        EXPECT_TRUE(store_file::open(path).value().finished());
    }
    stop = true;
    other.join();
}

TEST_F(store_file_test, a_pipe_is_refused_at_once) {
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    EXPECT_NE(store_file::open(path).status().message().find("holds no packed weights"), std::string::npos);
}

TEST_F(store_file_test, a_partial_file_of_another_kind_is_written_anew) {
    test::write_all(store_partial_path(path), test::random_bytes(random, 5000));
    auto records = make_records({100});
    write(path, records);
    EXPECT_EQ(count_readable(path, records), 1u);
    EXPECT_LT(test::read_all(path).size(), 500u) << "nothing of the old file is left";
}

TEST_F(store_file_test, what_cannot_be_written_is_a_line_and_leaves_the_records_before) {
    const auto nowhere = store_writer::open(folder + "/none/a.rknpu");
    EXPECT_EQ(nowhere.status().code(), errc::permission);
    EXPECT_NE(nowhere.status().message().find("No such file or directory; choose another place"), std::string::npos);
    auto records = make_records({1000, 3000000});
    auto w = store_writer::open(path);
    ASSERT_TRUE(w.ok());
    add(w.value(), records, 0, 1);
    rlimit limit;
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const rlimit small{1 << 20, limit.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const status full = w.value().add(records[1].key, "", test::cut(random, records[1].payload));
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_NE(full.message().find("cannot write the packed weights " + path + ": File too large"), std::string::npos);
    EXPECT_TRUE(w.value().finish().ok());
    EXPECT_EQ(count_readable(path, records), 1u);
    EXPECT_TRUE(store_file::open(path).value().finished());
}

TEST_F(store_file_test, other_files_are_refused_with_the_cure) {
    const auto refusal = [&](const bytes & content) {
        test::write_all(path, content);
        const auto opened = store_file::open(path);
        EXPECT_FALSE(opened.ok());
        return opened.ok() ? "" : opened.status().message();
    };
    EXPECT_NE(store_file::open(folder + "/none").status().message().find("rknpu pack makes such a file"),
              std::string::npos);
    EXPECT_NE(store_file::open(folder).status().message().find("holds no packed weights"), std::string::npos);
    EXPECT_NE(refusal({}).find("holds no packed weights"), std::string::npos);
    EXPECT_NE(refusal({'G', 'G', 'U', 'F'}).find("holds no packed weights"), std::string::npos);
    auto records = make_records({10});
    write(path, records);
    bytes file = test::read_all(path);
    file[13] ^= 1;
    EXPECT_NE(refusal(file).find("damaged at its beginning"), std::string::npos);
    file[13] ^= 1;
    file[8] = 9;
    const uint64_t checksum = hash_of(file.data(), 16).low;
    std::memcpy(&file[16], &checksum, 8);
    EXPECT_NE(refusal(file).find("has version 9 of the format, this program reads version 1; pack the model again"),
              std::string::npos);
}

// One damage of many kinds; false if it left the bytes as they were.
bool damage(std::mt19937 & random, bytes & file) {
    const bytes before = file;
    const size_t at = random() % file.size();
    switch (random() % 7) {
    case 0:
    case 1:
        file[at] ^= uint8_t(1 << random() % 8);
        break;
    case 2:
        file.resize(at);
        break;
    case 3: // another version, its checksum right
    {
        const uint32_t version = random();
        std::memcpy(&file[8], &version, 4);
        const uint64_t checksum = hash_of(file.data(), 16).low;
        std::memcpy(&file[16], &checksum, 8);
        break;
    }
    case 4: // a block that never reached the disk
        std::fill(file.begin() + ptrdiff_t(at), file.begin() + ptrdiff_t(std::min(file.size(), at + 4096)), uint8_t(0));
        break;
    case 5: // a stretch lost in the middle
        file.erase(file.begin() + ptrdiff_t(at),
                   file.begin() + ptrdiff_t(std::min(file.size(), at + 1 + random() % 5000)));
        break;
    case 6: {
        const bytes more = test::random_bytes(random, 1 + random() % 100);
        file.insert(file.begin() + ptrdiff_t(at), more.begin(), more.end());
        break;
    }
    }
    return file != before;
}

TEST_F(store_file_test, a_thousand_damaged_files_are_all_noticed) {
    auto records = make_records({200, 5000, (1 << 20) + 3000, 0, 64, 10000});
    write(path, records);
    const bytes whole = test::read_all(path);
    ASSERT_EQ(count_readable(path, records), records.size());
    for (int i = 0; i < 1000; i++) {
        bytes file = whole;
        while (!damage(random, file)) {
        }
        test::write_all(path, file);
        const size_t readable = count_readable(path, records); // none is read as anything else
        const auto opened = store_file::open(path);
        const bool noticed = !opened.ok() || !opened.value().problem().empty() || readable < records.size();
        ASSERT_TRUE(noticed) << "damage " << i;
        ASSERT_TRUE(opened.ok() || opened.status().message().find("rknpu pack") != std::string::npos);
    }
}

// A fuzzer that knows the structure: heads say anything, and their checksums are right. Nothing may crash or be read
// beyond its place (the address sanitizer looks on); what is read has the checksums that its head names.
TEST_F(store_file_test, heads_that_lie_do_no_harm) {
    auto records = make_records({200, 300000, 64});
    write(path, records);
    const bytes whole = test::read_all(path);
    const auto layout = store_file::open(path);
    ASSERT_TRUE(layout.ok());
    std::vector<size_t> heads, payloads; // where each begins
    for (const store_record & r : layout.value().records()) {
        heads.push_back(heads.empty() ? 24 : payloads.back() + records[heads.size() - 1].payload.size());
        payloads.push_back(size_t(r.offset));
    }
    constexpr uint64_t odd[] = {0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xffffffff, uint64_t(1) << 40, UINT64_MAX};
    size_t opened = 0;
    for (int i = 0; i < 3000; i++) {
        bytes file = whole;
        const size_t which = random() % heads.size(), head = heads[which];
        const size_t head_end = payloads[which];
        for (int changes = 1 + int(random() % 3); changes > 0; changes--) {
            const uint64_t value = random() % 2 ? odd[random() % std::size(odd)] : random() % 4096;
            const size_t at = head + random() % 5 * 8 + random() % 2 * 4;
            std::memcpy(&file[at], &value, random() % 2 ? 4 : 8);
        }
        // Where the checksum lies by what the head says now, and where it lay.
        uint32_t said;
        std::memcpy(&said, &file[head + 4], 4);
        const size_t end =
            head + said >= head + 48 && head + said <= file.size() && random() % 2 ? head + said : head_end;
        const uint64_t checksum = hash_of(&file[head], end - 8 - head).low;
        std::memcpy(&file[end - 8], &checksum, 8);
        test::write_all(path, file);
        const auto f = store_file::open(path);
        ASSERT_TRUE(f.ok());
        for (const store_record & r : f.value().records()) {
            ASSERT_LE(r.offset + r.bytes, file.size());
            bytes payload(r.bytes);
            opened += f.value().read(r, {{payload.data(), payload.size()}}).ok();
        }
    }
    EXPECT_GT(opened, 1000u) << "most records are not the ones that lie";
}

} // namespace
} // namespace rknpu
