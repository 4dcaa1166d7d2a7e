# What libtorch_python.so of the pinned wheel asks of CUDA's libraries, and nobody here ever calls: with these names
# resolved, Python's torch runs on the CPU without 3 GB of them. `cc -shared` makes one library of this, which stands
# for libtorch_cuda, cuDNN, cuFile and NCCL (docs/decisions/0003). The names are what the dynamic linker misses
# without those, by `readelf --dyn-syms`.

    .macro function name
    .globl \name
    .type \name, @function
\name:
    .endm

    # Itanium C++ ABI 2.9.5: a class without bases. Python's bindings look at its name when they register the class.
    .macro class name
    .globl _ZTI\name
    .type _ZTI\name, @object
    .size _ZTI\name, 16
    .balign 16
_ZTI\name:
    .quad _ZTVN10__cxxabiv117__class_type_infoE + 16, 1f
1:  .asciz "\name"
    .endm

    .macro table name
    .globl \name
    .type \name, @object
    .size \name, 1024
    .balign 16
\name:
    .zero 1024
    .endm

    .text
    function _ZN2at4cuda12GreenContext10popContextEv
    function _ZN2at4cuda12GreenContext10setContextEv
    function _ZN2at4cuda12GreenContext25max_workqueue_concurrencyESt8optionalIjE
    function _ZN2at4cuda12GreenContext6StreamEv
    function _ZN2at4cuda12GreenContext6createESt8optionalIjES3_S2_IiES3_
    function _ZN2at4cuda12GreenContextD1Ev
    function _ZN2at4cuda17graph_pool_handleEv
    function _ZN2at4cuda19canDeviceAccessPeerEaa
    function _ZN2at4cuda19getDevicePropertiesEa
    function _ZN2at4cuda21clearCublasWorkspacesEv
    function _ZN2at4cuda22CompileAndLaunchKernelERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEES8_iRKN3c1011SmallVectorINS_6TensorELj6EEERKNSA_INS9_6ScalarELj1EEEb
    function _ZN2at4cuda22getChosenWorkspaceSizeEv
    function _ZN2at4cuda22setChosenWorkspaceSizeEm
    function _ZN2at4cuda24getCurrentCUDABlasHandleEb
    function _ZN2at4cuda24resetChosenWorkspaceSizeEv
    function _ZN2at4cuda26getCUDABlasLtWorkspaceSizeEv
    function _ZN2at4cuda26setCUDABlasLtWorkspaceSizeEm
    function _ZN2at4cuda28resetCUDABlasLtWorkspaceSizeEv
    function _ZN2at4cuda5sleepEl
    function _ZN2at4cuda6detail23getDefaultCUDAGeneratorEa
    function _ZN2at4cuda7MemPool2idEv
    function _ZN2at4cuda7MemPool9use_countEv
    function _ZN2at4cuda7MemPoolC1ESt10shared_ptrIN3c104cuda20CUDACachingAllocator13CUDAAllocatorEEbbb
    function _ZN2at4cuda7MemPoolD1Ev
    function _ZN2at4cuda7tunable13TuningContext11SetFilenameERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEb
    function _ZN2at4cuda7tunable13TuningContext12EnableTuningEb
    function _ZN2at4cuda7tunable13TuningContext15EnableTunableOpEb
    function _ZN2at4cuda7tunable13TuningContext19EnableRecordUntunedEb
    function _ZN2at4cuda7tunable13TuningContext21SetRotatingBufferSizeEi
    function _ZN2at4cuda7tunable13TuningContext22SetMaxTuningDurationMsEi
    function _ZN2at4cuda7tunable13TuningContext22SetMaxTuningIterationsEi
    function _ZN2at4cuda7tunable13TuningContext23GetTuningResultsManagerEv
    function _ZN2at4cuda7tunable13TuningContext23SetNumericalCheckConfigEbdd
    function _ZN2at4cuda7tunable13TuningContext25GetTuningResultsValidatorEv
    function _ZN2at4cuda7tunable13TuningContext8ReadFileERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE
    function _ZN2at4cuda7tunable16getTuningContextEv
    function _ZN2at4cuda7tunable20TuningResultsManager4DumpB5cxx11Ev
    function _ZN2at4cuda9CUDAGraph10debug_dumpERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE
    function _ZN2at4cuda9CUDAGraph11capture_endEv
    function _ZN2at4cuda9CUDAGraph11instantiateEv
    function _ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode
    function _ZN2at4cuda9CUDAGraph14raw_cuda_graphEv
    function _ZN2at4cuda9CUDAGraph17enable_debug_modeEv
    function _ZN2at4cuda9CUDAGraph19raw_cuda_graph_execEv
    function _ZN2at4cuda9CUDAGraph24begin_capture_to_if_nodeERKNS_6TensorE
    function _ZN2at4cuda9CUDAGraph24register_generator_stateERKNS_9GeneratorE
    function _ZN2at4cuda9CUDAGraph29get_currently_capturing_graphEv
    function _ZN2at4cuda9CUDAGraph31end_capture_to_conditional_nodeEv
    function _ZN2at4cuda9CUDAGraph4poolEv
    function _ZN2at4cuda9CUDAGraph5resetEv
    function _ZN2at4cuda9CUDAGraph6replayEv
    function _ZN2at4cuda9CUDAGraphC1Eb
    function _ZN2at4cuda9CUDAGraphD1Ev
    function _ZN2at6detail18empty_strided_cudaEN3c108ArrayRefIlEES3_NS1_10ScalarTypeESt8optionalINS1_6DeviceEE
    function _ZN2at6native17resize_bytes_cudaEPN3c1011StorageImplEm
    function _ZN2at6native20_cslt_sparse_mm_implERKNS_6TensorES3_RKSt8optionalIS1_ES7_S4_IN3c1010ScalarTypeEEbiiib
    function _ZN2at6native27resize_bytes_cuda_with_addrEPN3c1011StorageImplEmPv
    function _ZN2at6native32getCurrentCUDASolverDnHandleLazyEv
    function _ZN2at6native40_get_cudnn_batch_norm_reserve_space_sizeERKNS_6TensorEb
    function _ZN3sdp23can_use_cudnn_attentionERKNS_10sdp_paramsEb
    function _ZN3sdp23can_use_flash_attentionERKNS_10sdp_paramsEb
    function _ZN3sdp28is_flash_attention_availableEv
    function _ZN3sdp31can_use_mem_efficient_attentionERKNS_10sdp_paramsEb
    function _ZN4c10d11hashTensorsERKSt6vectorIN2at6TensorESaIS2_EE
    function _ZN4c10d15dump_nccl_traceB5cxx11Ebbb
    function _ZN4c10d15get_gil_checkerEv
    function _ZN4c10d15intra_node_comm28getIntraNodeCommUsageCounterEv
    function _ZN4c10d16ProcessGroupNCCL10getCommPtrEv
    function _ZN4c10d16ProcessGroupNCCL10groupStartEv
    function _ZN4c10d16ProcessGroupNCCL13isInitializedEv
    function _ZN4c10d16ProcessGroupNCCL15endTimeEstimateEv
    function _ZN4c10d16ProcessGroupNCCL15registerMemPoolEPN2at4cuda7MemPoolEb
    function _ZN4c10d16ProcessGroupNCCL17deregisterMemPoolEPN2at4cuda7MemPoolE
    function _ZN4c10d16ProcessGroupNCCL17setEnableNanCheckEb
    function _ZN4c10d16ProcessGroupNCCL17startTimeEstimateEv
    function _ZN4c10d16ProcessGroupNCCL19addEphemeralTimeoutERKNSt6chrono8durationIlSt5ratioILl1ELl1000EEEE
    function _ZN4c10d16ProcessGroupNCCL19performNocolorSplitEN3c106DeviceE
    function _ZN4c10d16ProcessGroupNCCL24verifyWorkTimeoutForTestERKN3c1013intrusive_ptrINS_4WorkENS1_6detail34intrusive_target_default_null_typeIS3_EEEERKNSt6chrono8durationIlSt5ratioILl1ELl1000EEEE
    function _ZN4c10d16ProcessGroupNCCL8groupEndEv
    function _ZN4c10d16ProcessGroupNCCLC1EN3c1013intrusive_ptrINS_5StoreENS1_6detail34intrusive_target_default_null_typeIS3_EEEEiiNS2_INS0_7OptionsENS5_IS8_EEEE
    function _ZN4c10d16reset_nccl_traceEv
    function _ZN4c10d17nvshmem_extension20is_nvshmem_availableEv
    function _ZN4c10d17nvshmem_extension22nvshmemx_cumodule_initEm
    function _ZN4c10d19getNcclVersionTupleEv
    function _ZN4c10d20dump_nccl_trace_jsonB5cxx11Ebb
    function _ZN5torch14CudaIPCCollectEv
    function _ZN5torch24GetNewRefCountedSentDataEPvN3c106DeviceE
    function _ZN5torch3jit10tensorexpr11CudaCodeGen10InitializeEv
    function _ZN5torch4cuda10gather_outEN3c108ArrayRefIN2at6TensorEEERS4_l
    function _ZN5torch4cuda11scatter_outERKN2at6TensorERSt6vectorIS2_SaIS2_EElRKSt8optionalIS5_IS9_IN3c104cuda10CUDAStreamEESaISD_EEE
    function _ZN5torch4cuda13broadcast_outERKN2at6TensorERSt6vectorIS2_SaIS2_EE
    function _ZN5torch4cuda19broadcast_coalescedEN3c108ArrayRefIN2at6TensorEEENS2_IlEEm
    function _ZN5torch4cuda22CUDAPluggableAllocator19getCurrentAllocatorEv
    function _ZN5torch4cuda22CUDAPluggableAllocator21createCustomAllocatorESt8functionIFPvmiP11CUstream_stEES2_IFvS3_miS5_EE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator11set_init_fnESt8functionIFviEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator12set_reset_fnESt8functionIFvvEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator16set_release_poolESt8functionIFviSt4pairIyyEEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator17set_base_alloc_fnESt8functionIFPvS4_PmEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator20set_record_stream_fnESt8functionIFvPvP11CUstream_stEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator22set_memory_fraction_fnESt8functionIFvdiEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator26set_begin_allocate_to_poolESt8functionIFviSt4pairIyyES3_IFbP11CUstream_stEEEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocator27set_end_allocate_to_pool_fnESt8functionIFviSt4pairIyyEEE
    function _ZN5torch4cuda22CUDAPluggableAllocator22changeCurrentAllocatorERKSt10shared_ptrIN3c104cuda20CUDACachingAllocator13CUDAAllocatorEE
    function _ZN5torch4cuda22_record_memory_historyESt8optionalINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEES8_RKS7_mbbbRKSt6vectorIS7_SaIS7_EE
    function _ZN5torch4cuda22_record_memory_historyEbblbbbbbRKSt6vectorINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESaIS7_EE
    function _ZN5torch4cuda4nccl10all_gatherERKSt6vectorIN2at6TensorESaIS4_EERS6_RKS2_ISt8optionalIN3c104cuda10CUDAStreamEESaISE_EERKS2_IPvSaISJ_EE
    function _ZN5torch4cuda4nccl10all_reduceERKSt6vectorIN2at6TensorESaIS4_EERS6_iRKS2_ISt8optionalIN3c104cuda10CUDAStreamEESaISE_EERKS2_IPvSaISJ_EE
    function _ZN5torch4cuda4nccl12comm_destroyEPv
    function _ZN5torch4cuda4nccl13get_unique_idERNS1_12ncclUniqueIdE
    function _ZN5torch4cuda4nccl14comm_init_rankEiRKNS1_12ncclUniqueIdEi
    function _ZN5torch4cuda4nccl14reduce_scatterERKSt6vectorIN2at6TensorESaIS4_EERS6_iRKS2_ISt8optionalIN3c104cuda10CUDAStreamEESaISE_EERKS2_IPvSaISJ_EE
    function _ZN5torch4cuda4nccl14version_suffixEv
    function _ZN5torch4cuda4nccl6reduceERKSt6vectorIN2at6TensorESaIS4_EERS4_iiRKS2_ISt8optionalIN3c104cuda10CUDAStreamEESaISE_EERKS2_IPvSaISJ_EE
    function _ZN5torch4cuda4nccl7versionEv
    function _ZN5torch4cuda4nccl9broadcastEN3c108ArrayRefIN2at6TensorEEERKSt6vectorISt8optionalINS2_4cuda10CUDAStreamEESaISB_EERKS7_IPvSaISG_EE
    function _ZN5torch4cuda6gatherEN3c108ArrayRefIN2at6TensorEEElSt8optionalIiE
    function _ZN5torch4cuda7scatterERKN2at6TensorEN3c108ArrayRefIlEERKSt8optionalISt6vectorIlSaIlEEElRKS8_IS9_IS8_INS5_4cuda10CUDAStreamEESaISH_EEE
    function _ZN5torch4cuda9broadcastERKN2at6TensorEN3c108ArrayRefIlEE
    function _ZN5torch8inductor28AOTIModelContainerRunnerCudaC1ERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEmS9_S9_b
    function _ZNK2at4cuda7tunable13TuningContext11GetFilenameB5cxx11Ev
    function _ZNK2at4cuda7tunable13TuningContext15IsTuningEnabledEv
    function _ZNK2at4cuda7tunable13TuningContext18IsTunableOpEnabledEv
    function _ZNK2at4cuda7tunable13TuningContext21GetRotatingBufferSizeEv
    function _ZNK2at4cuda7tunable13TuningContext22GetMaxTuningDurationMsEv
    function _ZNK2at4cuda7tunable13TuningContext22GetMaxTuningIterationsEv
    function _ZNK2at4cuda7tunable13TuningContext22IsRecordUntunedEnabledEv
    function _ZNK2at4cuda7tunable22TuningResultsValidator16GetAllValidatorsB5cxx11Ev
    function _ZNK4c10d16ProcessGroupNCCL19getCommSplitCounterEv
    function cuFileBufDeregister
    function cuFileBufRegister
    function cuFileHandleDeregister
    function cuFileHandleRegister
    function cuFileRead
    function cuFileWrite
    function cudnnGetProperty
    function ncclDevCommDestroy
    # One of them is asked for a place at start, and writes there (c10d::get_gil_checker).
    leaq somewhere(%rip), %rax
nothing:
    ret

    # And one constructs the default of an argument, whose class is asked for at start.
    function _ZN4c10d16ProcessGroupNCCL7OptionsC1Eb
    leaq options(%rip), %rax
    movq %rax, (%rdi)
    ret

    .data
    .balign 16
somewhere:
    .zero 4096
    # Offset to the top, class, virtual functions.
    .quad 0, _ZTIN4c10d16ProcessGroupNCCL7OptionsE
options:
    .rept 64
    .quad nothing
    .endr

    class N4c10d16ProcessGroupNCCL7OptionsE
    class N4c10d16ProcessGroupNCCLE
    class N5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocatorE
    class N5torch8inductor28AOTIModelContainerRunnerCudaE
    table _ZTVN5torch3jit10tensorexpr11CudaCodeGenE
    table _ZTVN5torch4cuda22CUDAPluggableAllocator22CUDAPluggableAllocatorE

    .section .note.GNU-stack, "", @progbits
