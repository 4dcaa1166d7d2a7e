# Decodes all records of a file again and again, as coboljsonifier's documentation shows it.
# Arguments: copybook, file, length of a record, seconds. Prints bytes decoded, processor seconds, and of
# the last record the values that the other side compares.
import sys
import time

from coboljsonifier.config.parser_type_enum import ParseType
from coboljsonifier.copybookextractor import CopybookExtractor
from coboljsonifier.parser import Parser

copybook, file, length, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
parser = Parser(CopybookExtractor(copybook).dict_book_structure, ParseType.BINARY_EBCDIC).build()
data = open(file, "rb").read()
records = [data[at:at + length] for at in range(0, len(data), length)]
decoded = 0
begin = time.process_time()
while time.process_time() - begin < seconds:
    for record in records:
        parser.parse(record)
        value = parser.value
    decoded += len(data)
print(decoded, time.process_time() - begin, value["AMOUNT"], value["PURPOSE"], value["MOVEMENT-ID"])
